"""The fitted population as a file, so that a new visit needs a filter pass and no refit. population.json, format 3."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from remanent import __version__
from remanent._errors import InputError, Problem
from remanent.dynamics.design import Covariate, Design, choose_design
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Fit, Posterior, Sampling, Weighed
from remanent.dynamics.priors import layout, table
from remanent.study.panel import Panel
from remanent.study.record.files import write_whole
from remanent.treatment.drugs import CLASSES, NOT_DRUGS, require
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.sourced import least_exposure

FORMAT = 3
NAME = "population.json"
KEPT_DRAWS = 400
_AGAIN = "Run `remanent run STUDY OUT` once more."


def save(out: Path, design: Design, posterior: Posterior) -> Path:
    """Write the design's scales and each mechanism's mode, covariance and evidence."""
    content = {
        "format": FORMAT,
        "remanent": __version__,
        "priors": _priors_hash(),
        "design": _plain(asdict(design)),
        "reference": posterior.reference,
        "fits": [
            {
                "mechanism": f.mechanism,
                "mode": f.mode.tolist(),
                "cov": f.cov.tolist(),
                "log_evidence": f.log_evidence,
                "converged": f.converged,
                "message": f.message,
                **({"weighed": asdict(f.weighed)} if f.weighed else {}),
                **_chains(f),
            }
            for f in posterior.fits
        ],
    }
    path = out / NAME
    write_whole(path, json.dumps(content, allow_nan=True).encode())
    return path


def _chains(fit: Fit) -> dict[str, Any]:
    """What NUTS left, at most KEPT_DRAWS draws of it; nothing where it did not run."""
    if fit.draws is None or fit.sampling is None:
        return {}
    kept = np.linspace(0, len(fit.draws) - 1, min(KEPT_DRAWS, len(fit.draws))).astype(int)
    return {"draws": fit.draws[kept].tolist(), "sampling": asdict(fit.sampling)}


def _plain(value: Any) -> Any:
    """Arrays as lists, at any depth."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def load(out: Path) -> tuple[Design, Posterior]:
    """Read it back; the fits carry no patient's likelihood until they meet data (`infer.on_data`).

    Raises
    ------
    InputError
        There is no fit, or it was made by another format or other priors.
    """
    path = out / NAME
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        _check_version(content, path)
        design = _design(content["design"])
        fits = tuple(_fit(entry) for entry in content["fits"])
    except FileNotFoundError as error:
        raise InputError(
            "holds no fitted population", where=str(out), why="No model was fitted there.", do=_AGAIN
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "holds no fitted population", where=str(path), why=f"{type(error).__name__}: {error}", do=_AGAIN
        ) from error
    return design, Posterior(layout(design), fits, reference=bool(content.get("reference", False)))


def _check_version(content: dict[str, Any], path: Path) -> None:
    """Refuse a population whose numbers mean something else now."""
    if content["format"] != FORMAT:
        raise InputError(
            f"has format {content['format']}; this version reads format {FORMAT}",
            where=str(path),
            why="The model has other parameters or covariates now.",
            do=_AGAIN,
        )
    if content["priors"] != _priors_hash():
        raise InputError(
            "was fitted under other priors", where=str(path), why="Its numbers mean something else now.", do=_AGAIN
        )


def not_in(known: Design, panel: Panel) -> list[Problem]:
    """Measures, drug classes, placements and diagnoses that the fitted population has never seen, and as what each counts until the next run."""
    now = choose_design(panel)
    seen, found = known.indicators.names, now.indicators.names
    no_part = "it takes no part in this update"
    unsaid = "those concerned get no forecast and no advice"
    as_none = f"it counts as no drug, so {unsaid}"
    as_usual = (
        f"its sessions count as {known.placements[0]}, the most common one"
        if known.placements
        else f"ECT has no effect in this population, so {unsaid}"
    )
    alike = (
        f"it is read as {known.diagnosis}, the most common one"
        if known.diagnosis
        else "it makes no difference, for no diagnosis was on record then"
    )
    new = [
        *(("phenotype" if n in panel.symptoms.names else "derivatives", n, n, no_part) for n in found if n not in seen),
        *(("medication", "drug", f"drug class {c}", as_none) for c in now.classes if c not in known.classes),
        *(("ect", "placement", f"placement {p}", as_usual) for p in now.placements if p not in known.placements),
        *(("participants", "diagnosis", f"diagnosis {d}", alike) for d in now.diagnoses if d not in known.diagnoses),
    ]
    why = "is new since the population was fitted:"
    do = "run `remanent run` to fit it."
    return [
        Problem(file, None, column, f'"{what}" {why} {words}; {do}', "set_aside") for file, column, what, words in new
    ]


def never_seen(design: Design, doses: DoseHistory, ahead: np.ndarray, *, ect: bool) -> str:
    """What a patient is given that the fitted population never was, in words; empty where there is nothing.

    `ahead`: exposure by class on unchanged doses, [class, interval]. `ect`: whether the patient had any.
    """
    high = ahead.max(1, initial=0.0) > least_exposure()
    new = {c for c, on in zip(CLASSES, high, strict=True) if on and c not in (*design.classes, *NOT_DRUGS)}
    drugs = sorted({one.name for one in map(require, doses.drug) if one.drug_class in new})
    said = [f"takes {', '.join(drugs)}"] * bool(drugs) + ["had ECT"] * (ect and not design.placements)
    words = f"{' and '.join(said)}, which this population has never seen: it would count as nothing, so nothing is forecast and no advice is given"
    return words if said else ""


def _design(entry: dict[str, Any]) -> Design:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    covariates = {name: tuple(Covariate(**c) for c in entry[name]) for name in ("tether", "risk", "reserve")}
    return Design(**(fields | covariates | {"indicators": _indicators(entry["indicators"])}))


def _indicators(entry: dict[str, Any]) -> Indicators:
    return Indicators(
        names=tuple(entry["names"]),
        is_symptom=np.array(entry["is_symptom"], bool),
        centre=np.array(entry["centre"], float),
        scale=np.array(entry["scale"], float),
        loads=np.array(entry["loads"], bool).reshape(-1, 4),
        points=tuple(p and (tuple(p[0]), tuple(p[1])) for p in entry["points"]),
        source=tuple(entry["source"]),
    )


def _fit(entry: dict[str, Any]) -> Fit:
    return Fit(
        mechanism=entry["mechanism"],
        mode=np.array(entry["mode"], float),
        cov=np.array(entry["cov"], float),
        log_evidence=float(entry["log_evidence"]),
        patient_log_lik=np.empty(0),
        converged=bool(entry["converged"]),
        message=str(entry["message"]),
        draws=np.array(entry["draws"], float) if "draws" in entry else None,
        sampling=Sampling(**entry["sampling"]) if "sampling" in entry else None,
        weighed=Weighed(**entry["weighed"]) if "weighed" in entry else None,
    )


def _priors_hash() -> str:
    """Of what a fit depends on: scale, mean and sd of every prior, not the words about it."""
    numbers = {
        group: {name: [entry["scale"], entry["mean"], entry["sd"]] for name, entry in sorted(entries.items())}
        for group, entries in sorted(table().items())
    }
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
