"""`remanent trial`: a specification to tables, their sidecars and a page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from remanent import __version__
from remanent._errors import UsageError
from remanent.report.saved import from_json, to_json
from remanent.report.trial_page import CurveView, PolicyView, TrialView, entry_words, render_trial
from remanent.stages import population
from remanent.stages.entering import entry_of_study
from remanent.stages.programs import compile_whole_loops, set_up_compiler
from remanent.stages.workers import many
from remanent.study.record.files import write_whole
from remanent.trial.contrast import ordered
from remanent.trial.derivatives import write_json
from remanent.trial.design import TrialSpec, read_trial
from remanent.trial.experiment import Job, Replicate, check_entry, contrast_curve, reference_note, replicate
from remanent.trial.policy import DAYS_PER_MONTH, Outcome
from remanent.trial.power import Curve, policy_curve
from remanent.trial.tsv import write_tsv
from remanent.trial.world import STEP_DAYS, Entry

MEASURES: Mapping[str, tuple[str, Callable[[Outcome], np.ndarray]]] = {
    "relapse": ("Share of patients seen to relapse within the follow-up.", lambda o: o.relapsed.astype(float)),
    "drug_months": ("Months of drug, in full doses, up to the end of the follow-up.", lambda o: o.drug_months),
    "scans": ("Scans made for decisions.", lambda o: o.scans),
    "withdrawn": ("Share in whom all drugs were withdrawn.", lambda o: np.isfinite(o.withdrawn_day).astype(float)),
    "loss": ("Loss in drug-months: a relapse counts as many as the specification says.", lambda o: o.loss),
}
TABLES = ("policies", "differences", "replicates", "power")
PAGE, VIEW = "trial.html", "view.json"


def run_trial(spec_path: str, out: Path, *, workers: int, cluster: str, log: Callable[..., None]) -> str:
    """Run every replicate, write OUT, say where it is.

    Raises
    ------
    InputError
        The specification or the fitted population cannot be used.
    UsageError
        OUT holds something else.
    """
    set_up_compiler()
    spec = read_trial(spec_path)
    known = None if spec.population == "reference" else population.load(Path(spec.population))
    _check_out(out)
    entry = entry_of_study(Path(spec.population), spec.entry_at_most) if known else Entry(spec.entry_at_most)
    jobs = [Job(spec, known, k, entry) for k in range(spec.replicates)]
    for job in jobs:
        check_entry(job)
    found = []
    for one in _everywhere(jobs, workers, cluster):
        log("replicate", number=one.number, mechanism=one.mechanism)
        found.append(one)
    curves = {"policies": _policy_curve(spec, found)}
    contrast = contrast_curve(spec, known)
    curves |= {"mechanisms": contrast} if contrast else {}
    _write(out, spec, found, curves, entry)
    return f"{spec.patients} virtual patients x {len(spec.policies)} policies x {spec.replicates} replicates. Page: {out / PAGE}"


def load_trial(out: Path) -> TrialView | None:
    """What the page of a trial shows; None where the folder holds no trial of this program.

    Raises
    ------
    InputError
        It was written by another version.
    """
    try:
        content = (out / VIEW).read_bytes()
    except OSError:
        return None
    found = from_json(content, str(out / VIEW))
    return found if isinstance(found, TrialView) else None


def _everywhere(jobs: Sequence[Job], workers: int, cluster: str) -> Sequence[Replicate]:
    """Every replicate in order; the same numbers on this machine and on a cluster."""
    with many(min(workers, len(jobs)), cluster) as pool:
        return list(pool.map(_as_here, jobs))


def _as_here(job: Job) -> Replicate:
    """A replicate, compiled as on this machine: a cluster's workers may have been started without it."""
    compile_whole_loops()
    return replicate(job)


def _check_out(out: Path) -> None:
    mine = {"dataset_description.json", PAGE}
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not mine <= {p.name for p in out.iterdir()})):
        raise UsageError(
            "holds something else", where=str(out), why="Results are never mixed", do="Give a new or empty folder."
        )


def interval(per_replicate: np.ndarray, within: float, limits: tuple[float, float]) -> tuple[float, float, float]:
    """Mean and 90 % interval for another replicate, within what is possible: spread between replicates (what is not known of patients).

    Of the only replicate: Monte Carlo interval in its population.
    """
    n, mean = len(per_replicate), float(per_replicate.mean())
    half = (
        1.645 * within if n == 1 else float(student.ppf(0.95, n - 1) * per_replicate.std(ddof=1) * np.sqrt(1 + 1 / n))
    )
    return mean, max(limits[0], mean - half), min(limits[1], mean + half)


def _most(spec: TrialSpec) -> Mapping[str, float]:
    """The most that each measure can come to in a patient."""
    months = float(np.ceil(spec.follow_up_days / STEP_DAYS) * STEP_DAYS / DAYS_PER_MONTH)
    return {
        "relapse": 1.0,
        "drug_months": months,
        "scans": float(len(spec.decision_days)),
        "withdrawn": 1.0,
        "loss": spec.relapse_drug_months + months,
    }


def _summaries(spec: TrialSpec, found: Sequence[Replicate]) -> list[dict[str, Any]]:
    """One row per policy: every measure and the regret."""
    rows, most = [], _most(spec)
    limits = {name: (0.0, high) for name, high in most.items()} | {"regret": (-most["loss"], most["loss"])}
    for policy in spec.policies:
        row: dict[str, Any] = {"policy": policy.name, "patients": spec.patients, "replicates": len(found)}
        values = {
            name: [measure(one.outcomes[policy.name]) for one in found] for name, (_, measure) in MEASURES.items()
        }
        values["regret"] = [one.regret[policy.name] for one in found]
        for name, parts in values.items():
            within = float(np.std(parts[0]) / np.sqrt(spec.patients))
            found_here = interval(np.array([part.mean() for part in parts]), within, limits[name])
            row |= dict(zip((f"{name}_mean", f"{name}_lower", f"{name}_upper"), found_here, strict=True))
        rows.append(row)
    return rows


def _differences(spec: TrialSpec, found: Sequence[Replicate]) -> list[dict[str, Any]]:
    """One row per policy and measure: difference from the first policy on the same patients with the same luck."""
    first, most, rows = spec.policies[0].name, _most(spec), []
    for policy in spec.policies[1:]:
        for name, (_, measure) in MEASURES.items():
            parts = [measure(one.outcomes[policy.name]) - measure(one.outcomes[first]) for one in found]
            within = float(np.std(parts[0]) / np.sqrt(spec.patients))
            mean, low, high = interval(np.array([part.mean() for part in parts]), within, (-most[name], most[name]))
            rows.append(
                {"policy": policy.name, "against": first, "measure": name, "mean": mean, "lower": low, "upper": high}
            )
    return rows


def _policy_curve(spec: TrialSpec, found: Sequence[Replicate]) -> Curve:
    first, second = spec.compare
    shares = [(float(o[first].relapsed.mean()), float(o[second].relapsed.mean())) for o in (r.outcomes for r in found)]
    return policy_curve(np.random.default_rng([spec.seed, 6]), shares, spec.power)


def _write(out: Path, spec: TrialSpec, found: Sequence[Replicate], curves: Mapping[str, Curve], entry: Entry) -> None:
    out.mkdir(parents=True, exist_ok=True)
    summaries, differences = _summaries(spec, found), _differences(spec, found)
    per_replicate = [
        {
            "replicate": one.number,
            "mechanism": one.mechanism,
            "policy": name,
            "relapse": float(o.relapsed.mean()),
            "drug_months": float(o.drug_months.mean()),
            "regret": float(one.regret[name].mean()),
            "let_in": one.let_in,
        }
        for one in found
        for name, o in one.outcomes.items()
    ]
    power = [
        {"question": name, "patients": n, "probability": m, "lower": low, "upper": high}
        for name, curve in curves.items()
        for n, m, low, high in zip(curve.patients, curve.mean, curve.lower, curve.upper, strict=True)
    ]
    for name, rows in zip(TABLES, (summaries, differences, per_replicate, power), strict=True):
        if rows:
            write_tsv(out / f"{name}.tsv", {key: [row[key] for row in rows] for key in rows[0]})
            write_json(out / f"{name}.json", {key: {"Description": _describe(key, len(found))} for key in rows[0]})
    source = (
        reference_note() if spec.population == "reference" else f"the population fitted in {Path(spec.population).name}"
    )
    view = TrialView(
        title=f"Virtual trial: {len(spec.policies)} policies",
        source=source,
        patients=spec.patients,
        replicates=spec.replicates,
        follow_up_days=spec.follow_up_days,
        relapse_drug_months=spec.relapse_drug_months,
        policies=tuple(PolicyView(**{k: row[k] for k in PolicyView.__annotations__}) for row in summaries),
        differences=tuple(differences),
        compare=spec.compare,
        curves=tuple(CurveView(name, c.patients, c.mean, c.lower, c.upper) for name, c in curves.items()),
        contrast=ordered(spec.contrast.mechanisms) if spec.contrast else None,
        entry=entry_words(entry, [one.let_in for one in found]),
    )
    write_whole(out / PAGE, render_trial(view).encode())
    write_whole(out / VIEW, to_json(view))
    write_json(
        out / "dataset_description.json",
        {
            "Name": "Remanent virtual trial",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [
                {"Name": "Remanent", "Version": __version__, "Description": "Research use only. Nobody in it exists."}
            ],
            "Remanent": {"Seed": spec.seed, "Replicates": spec.replicates, "Population": source},
        },
    )


def _describe(key: str, replicates: int) -> str:
    base, _, part = key.rpartition("_")
    of = (
        "for another population drawn"
        if replicates > 1
        else "by chance among the patients of the only population drawn"
    )
    ends = {
        "mean": "mean over replicates",
        "lower": f"lower end of the 90 % interval {of}",
        "upper": f"upper end of the 90 % interval {of}",
    }
    if part in ends and base in (*MEASURES, "regret"):
        words = MEASURES[base][0] if base in MEASURES else _COLUMNS["regret"]
        return f"{words} {ends[part].capitalize()}."
    return _COLUMNS.get(key) or MEASURES[key][0]


_COLUMNS = {
    "policy": "Policy, as the specification names it.",
    "patients": "Virtual patients per replicate; in power.tsv, patients per arm or in all.",
    "replicates": "Draws of the population.",
    "replicate": "Number of the replicate.",
    "mechanism": "Mechanism that was true in the replicate.",
    "against": "The policy it is compared with, on the same patients with the same luck.",
    "measure": "What is compared.",
    "mean": "Mean difference.",
    "lower": "Lower end of the 90 % interval.",
    "upper": "Upper end of the 90 % interval.",
    "question": "policies: to tell the relapse proportions of two policies apart; mechanisms: to decide between two mechanisms, one mimicked by the other.",
    "probability": "Probability that the question is answered.",
    "regret": "Loss beyond that of an oracle that knows parameters, random effects and state on day 0 (drug-months).",
    "let_in": "Share of the virtual people drawn in the replicate who were let in.",
}
