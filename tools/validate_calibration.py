"""Are the forecasts calibrated over many cohorts? Simulate studies as files, run them, hold every number against the truth.

usage: python tools/validate_calibration.py [COHORTS] [PATIENTS]     prints the table of docs/validation/calibration.md
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from remanent.stages.analyse import Results, analyse
from remanent.stages.measure import measure_study
from remanent.stages.tables import tables
from remanent.study.panel import build_panel
from remanent.study.store import Record
from remanent.trial.cohort import simulate
from remanent.trial.spec import demo_spec
from remanent.trial.truth import read_truth
from remanent.trial.write import write_study

QUANTITIES = ("function", "structure", "relapse continue", "relapse taper", "relapse stop")


def _silent(*_: object, **__: object) -> None:
    """Drop a log line."""


def one_cohort(seed: int, patients: int, folder: Path) -> tuple[Results, dict]:
    """Simulate, write, read and analyse one cohort (ratings, drugs, labs, sleep, events; no scans): results and truth."""
    write_study(simulate(demo_spec(n_patients=patients, seed=seed, derivatives=False)), folder / "study")
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=_silent)
    with Record.open(folder / "out") as record:
        panel = build_panel(record.tables(), record.features())
    results = analyse(panel, seed=0, thresholds=None, log=_silent)
    if results is None:
        raise RuntimeError("the simulated cohort gave no results")
    return results, read_truth(folder / "study")


def pairs(results: Results, truth: dict) -> dict[str, np.ndarray]:
    """Rows (true, mean, lower, upper) of each quantity."""
    found = tables(results)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in QUANTITIES}
    states, forecasts = found["states"], found["forecasts"]
    for i, who in enumerate(states["participant_id"]):
        for name in ("function", "structure"):
            true = truth.get((who, name, states["day"][i], None, None))
            mean, sd = states[f"{name}_mean"][i], states[f"{name}_sd"][i]
            if isinstance(true, float):
                rows[name].append((true, mean, mean - 1.645 * sd, mean + 1.645 * sd))
    for i, who in enumerate(forecasts["participant_id"]):
        key = (who, "relapse", forecasts["day"][i], 182, forecasts["plan"][i])
        values = tuple(forecasts[f"relapse_{part}"][i] for part in ("mean", "lower", "upper"))
        if forecasts["horizon_days"][i] == 182 and np.isfinite(values[0]) and isinstance(truth.get(key), float):
            rows[f"relapse {forecasts['plan'][i]}"].append((truth[key], *values))
    return {name: np.array(values) for name, values in rows.items()}


def summary(cohorts: list[dict[str, np.ndarray]]) -> list[str]:
    """A Markdown table: error, bias and coverage of the 90 % interval, with the standard error of the coverage between cohorts."""
    lines = [
        "| quantity | values | mean absolute error | bias | 90 % interval covers |",
        "|---|---|---|---|---|",
    ]
    for name in QUANTITIES:
        per = [c[name] for c in cohorts if len(c[name])]
        every = np.concatenate(per)
        error = every[:, 1] - every[:, 0]
        share = np.array([((v[:, 0] >= v[:, 2]) & (v[:, 0] <= v[:, 3])).mean() for v in per])
        spread = share.std(ddof=1) / np.sqrt(len(share)) if len(share) > 1 else np.nan
        lines.append(
            f"| {name} | {len(every)} | {np.abs(error).mean():.3f} | {error.mean():+.3f} | {100 * share.mean():.0f} ± {100 * spread:.0f} % |"
        )
    return lines


def main() -> None:
    """Run and print."""
    count, patients = (int(v) for v in (*sys.argv[1:], *("12", "40")[len(sys.argv) - 1 :]))
    cohorts = []
    for seed in range(100, 100 + count):
        with tempfile.TemporaryDirectory() as folder:
            results, truth = one_cohort(seed, patients, Path(folder))
        cohorts.append(pairs(results, truth))
        print(
            f"cohort {seed}: converged {results.posterior.converged}, mechanism {results.comparison.cohort.round(2)}",
            flush=True,
        )
    print(f"\n{count} cohorts of {patients} patients, true mechanism dual, forecasts at 182 days:\n")
    print("\n".join(summary(cohorts)))


if __name__ == "__main__":
    main()
