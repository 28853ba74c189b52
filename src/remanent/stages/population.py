"""The fitted population as a file, so that a new visit needs a filter pass and no refit. population.json, format 1."""

import hashlib
import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from remanent import __version__
from remanent._errors import InputError, Problem
from remanent.dynamics.indicators import Indicators, choose_indicators
from remanent.dynamics.infer import Fit, Posterior
from remanent.dynamics.priors import layout
from remanent.study.panel import Panel
from remanent.study.record.files import write_whole

FORMAT = 1
NAME = "population.json"
_AGAIN = "Run `remanent run STUDY OUT` once more."


def save(out: Path, indicators: Indicators, posterior: Posterior) -> Path:
    """Write the indicators' scales and each mechanism's mode, covariance and evidence."""
    content = {
        "format": FORMAT,
        "remanent": __version__,
        "priors": _priors_hash(),
        "indicators": {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(indicators).items()},
        "fits": [
            {
                "mechanism": f.mechanism,
                "mode": f.mode.tolist(),
                "cov": f.cov.tolist(),
                "log_evidence": f.log_evidence,
                "converged": f.converged,
                "message": f.message,
            }
            for f in posterior.fits
        ],
    }
    path = out / NAME
    write_whole(path, json.dumps(content, allow_nan=True).encode())
    return path


def load(out: Path) -> tuple[Indicators, Posterior]:
    """Read it back; the fits carry no patient's likelihood until they meet data (`infer.on_data`).

    Raises
    ------
    InputError
        There is no fit, or it was made by another format or other priors.
    """
    path = out / NAME
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["priors"] != _priors_hash():
            raise InputError(
                "was made by another version", where=str(path), why="Its numbers mean something else now.", do=_AGAIN
            )
        indicators = _indicators(content["indicators"])
        fits = tuple(_fit(entry) for entry in content["fits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "holds no fitted population", where=str(path), why=f"{type(error).__name__}: {error}", do=_AGAIN
        ) from error
    return indicators, Posterior(layout(indicators), fits)


def not_in(known: Indicators, panel: Panel) -> list[Problem]:
    """Measures of the panel that the fitted population has never seen: they take no part until the next run."""
    new = [name for name in choose_indicators(panel).names if name not in known.names]
    why = "is new since the population was fitted and takes no part in this update; run `remanent run` to fit it."
    return [
        Problem(
            "phenotype" if name in panel.symptoms.names else "derivatives", None, name, f'"{name}" {why}', "set_aside"
        )
        for name in new
    ]


def _indicators(entry: dict[str, Any]) -> Indicators:
    return Indicators(
        names=tuple(entry["names"]),
        is_symptom=np.array(entry["is_symptom"], bool),
        centre=np.array(entry["centre"], float),
        scale=np.array(entry["scale"], float),
        loads=np.array(entry["loads"], bool).reshape(-1, 4),
        crp_centre=float(entry["crp_centre"]),
        sleep_centre=float(entry["sleep_centre"]),
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
    )


def _priors_hash() -> str:
    return hashlib.sha256((files("remanent.dynamics") / "priors.yaml").read_bytes()).hexdigest()
