"""`remanent demo` and `remanent simulate`: a synthetic study written as files, run like any other, and held against its truth."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from remanent._errors import UsageError
from remanent.stages.options import Options
from remanent.stages.run import run
from remanent.trial.cohort import simulate
from remanent.trial.spec import demo_spec, read_spec
from remanent.trial.truth import read_truth
from remanent.trial.tsv import read_tsv
from remanent.trial.write import write_study

TruthKey = tuple[str, str, float | None, int | None, str | None]

_ONE_COHORT = (
    "  One cohort shares the error of its one fit: its relapse intervals hold much more or much less than 90 %.\n"
    "  Over many cohorts: docs/validation/calibration.md."
)


def write_simulation(spec_path: Path, out: Path) -> str:
    """Write the study that a specification describes; what was written, in words."""
    spec = read_spec(spec_path)
    write_study(simulate(spec), out)
    return f"{spec.n_patients} synthetic patients written to {out}; the truth is in {out / 'truth.tsv'}."


def demo(out: Path, *, patients: int, seed: int, workers: int, log: Callable[..., None]) -> str:
    """Simulate, run, compare with the truth; a text that ends with where the report is."""
    study, results = out / "study", out / "results"
    if (study / "truth.tsv").is_file():
        _same_number(study, patients)
        log("simulate", reused=str(study))
    else:
        write_study(simulate(demo_spec(n_patients=patients, seed=seed)), study)
        log("simulate", patients=patients)
    summary = run(Options(study, results, workers=workers, seed=seed), log)
    lines = [
        summary.text(results),
        "",
        "How far the estimates are from the truth:",
        *against_truth(study, results),
        _ONE_COHORT,
    ]
    return "\n".join(
        [*lines, "", f"The report is at {(results / 'index.html').resolve()}", "Synthetic data; research use only."]
    )


def _same_number(study: Path, patients: int) -> None:
    found = len(read_tsv(study / "participants.tsv")["participant_id"])
    if found != patients:
        raise UsageError(f"holds a study of {found} patients, not {patients}", where=str(study), do="Choose a new OUT.")


def against_truth(study: Path, results: Path) -> list[str]:
    """One line per question: error, coverage of the 90 % intervals, and the mechanism."""
    truth = read_truth(study)
    return [*_mechanism_lines(truth, results), *_state_lines(truth, results), *_forecast_lines(truth, results)]


def _mechanism_lines(truth: Mapping[TruthKey, float | str], results: Path) -> list[str]:
    shares = {
        quantity.removeprefix("mechanism."): v
        for (who, quantity, *_), v in truth.items()
        if who == "cohort" and "mechanism." in quantity
    }
    true = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share)
    table = read_tsv(results / "mechanisms.tsv")
    rows = zip(table["participant_id"], table["mechanism"], table["probability"], table["identifiable"], strict=True)
    said = [
        f"{m} {float(p):.2f}{'' if known == 'true' else ' (prior)'}" for who, m, p, known in rows if who == "cohort"
    ]
    return [f"  mechanism: true {true}; estimated {', '.join(said)}"]


def _state_lines(truth: Mapping[TruthKey, float | str], results: Path) -> list[str]:
    table = read_tsv(results / "states.tsv")
    lines = []
    for name in ("function", "structure"):
        pairs = []
        rows = zip(table["participant_id"], table["day"], table[f"{name}_mean"], table[f"{name}_sd"], strict=True)
        for who, day, mean, sd in rows:
            true = truth.get((who, name, float(day), None, None))
            if isinstance(true, float):
                pairs.append((true, float(mean), float(mean) - 1.645 * float(sd), float(mean) + 1.645 * float(sd)))
        lines.append(_line(name, np.array(pairs)))
    return lines


def _forecast_lines(truth: Mapping[TruthKey, float | str], results: Path) -> list[str]:
    lines = []
    for plan in ("continue", "taper", "stop"):
        rows = _published(results / "forecasts.tsv", "relapse", plan)
        pairs = [
            (truth.get((who, "relapse", day, horizon, plan)), *values)
            for who, day, horizon, values in rows
            if horizon == 182
        ]
        lines.append(_line(f"relapse within 182 days, {plan}", np.array([p for p in pairs if isinstance(p[0], float)])))
    rows = _published(results / "remanence.tsv", "remanence", None)
    pairs = [
        (truth.get((who, "remanence", day, horizon, None)), *values)
        for who, day, horizon, values in rows
        if horizon == 182
    ]
    return [*lines, _line("remanence at 182 days", np.array([p for p in pairs if isinstance(p[0], float)]))]


def _published(path: Path, name: str, plan: str | None) -> list[tuple[str, float, int, tuple[float, float, float]]]:
    table = read_tsv(path)
    keep = [
        i
        for i, mean in enumerate(table[f"{name}_mean"])
        if mean != "n/a" and (plan is None or table["plan"][i] == plan)
    ]
    return [
        (
            table["participant_id"][i],
            float(table["day"][i]),
            int(float(table["horizon_days"][i])),
            (float(table[f"{name}_mean"][i]), float(table[f"{name}_lower"][i]), float(table[f"{name}_upper"][i])),
        )
        for i in keep
    ]


def _line(label: str, rows: np.ndarray) -> str:
    """Rows are (true, mean, lower, upper)."""
    rows = rows[np.isfinite(rows).all(1)] if rows.size else rows
    if not len(rows):
        return f"  {label}: nothing to compare"
    true, mean, lower, upper = rows.T
    error = np.abs(mean - true).mean()
    covered = ((true >= lower) & (true <= upper)).mean()
    span = f"{true.min():.2f} to {true.max():.2f}"
    return f"  {label}: mean absolute error {error:.2f} (truth: {span}); 90 % intervals hold {100 * covered:.0f} % of {len(rows)}"
