"""Do the stated error rates of the advice match realised ones, and are forecasts calibrated under every plan? Over many simulated cohorts with known truth.

usage: python tools/validate_advice.py [COHORTS] [PATIENTS] [FIRST_SEED]     prints the tables of docs/validation/advice.md

The truth of the simulator is the probability of relapse of each virtual patient under each plan, by its own integration of the model's equations. The
patients' own courses differ (continued, tapered, stopped at various times), so a plan ahead is mostly one that the patient has never been through.
"""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from remanent.plan.errors import Truths, could_taper
from remanent.plan.simulate import STANDARD_PLANS
from remanent.relapse.predict import EDGES_DAYS
from remanent.stages.analyse import Results, analyse
from remanent.stages.error_rates import error_rates
from remanent.stages.measure import measure_study
from remanent.stages.next_measurement import ensemble_of, possible_today
from remanent.study.panel import build_panel
from remanent.study.store import Record
from remanent.trial.cohort import simulate
from remanent.trial.spec import demo_spec
from remanent.trial.truth import read_truth
from remanent.trial.write import write_study

HORIZON = 182
LIMITS = {"least_hold": 0.8, "most_extra_relapse": 0.1}


class Case(NamedTuple):
    """One patient: advice, stated errors, forecasts and truth under the standard plans, and whether the plan is new to the patient."""

    advice: str
    below: float
    caused: float
    needless: float
    forecast: dict[str, float]
    truth: dict[str, float]
    on_drug: bool


def _silent(*_: object, **__: object) -> None:
    """Drop a log line."""


def one_cohort(seed: int, patients: int, folder: Path) -> list[Case]:
    """Simulate, write, read and analyse one cohort (no scans)."""
    write_study(simulate(demo_spec(n_patients=patients, seed=seed, derivatives=False)), folder / "study")
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=_silent)
    with Record.open(folder / "out") as record:
        panel = build_panel(record.tables(), record.features())
    results = analyse(panel, seed=0, thresholds=None, log=_silent)
    if results is None:
        raise RuntimeError("the simulated cohort gave no results")
    return cases(results, read_truth(folder / "study"))


def cases(results: Results, truth: dict) -> list[Case]:
    """Every patient still at risk whose forecasts the data inform, with the simulator's truth."""
    rates = error_rates(results, ensemble_of(results, possible_today(results, 0)), 0, None)
    row = int(np.searchsorted(EDGES_DAYS[1:], HORIZON))
    out = []
    for lane, i in enumerate(results.timeline.lanes):
        who, day = results.panel.patients[i], results.timeline.today[lane]
        true = {plan: truth.get((who, "relapse", day, HORIZON, plan)) for plan in STANDARD_PLANS}
        informed = all(results.outcome.informed[plan][lane] for plan in STANDARD_PLANS)
        if not informed or not all(isinstance(v, float) for v in true.values()):
            continue
        errors = rates.patients.get(who)
        stated = [getattr(errors, name, None) for name in ("below", "caused", "needless")]
        below, caused, needless = (np.nan if c is None else c.mean for c in stated)
        forecast = {plan: float(results.outcome.relapse[plan].mean[row, lane]) for plan in STANDARD_PLANS}
        out.append(
            Case(
                results.advice[lane].code,
                below,
                caused,
                needless,
                forecast,
                true,
                results.situation[lane].exposure > 0.02,
            )
        )
    return out


def realised(case: Case) -> dict[str, float]:
    """The errors that the truth makes of an advice."""
    alive = {plan: np.array([1 - p]) for plan, p in case.truth.items()}
    truths = Truths(alive["stop"], alive["continue"], alive["taper"], np.zeros(1), np.ones(1))
    return {
        "below": float(truths.hold[0] < LIMITS["least_hold"]),
        "caused": float(max(truths.stay[0] - truths.tapered[0], 0.0)),
        "needless": float(could_taper(truths, LIMITS)[0]),
    }


def error_table(cohorts: list[list[Case]]) -> list[str]:
    """Stated against realised, with the standard error between cohorts."""
    lines = ["| advice | error | patients | stated | realised | difference |", "|---|---|---|---|---|---|"]
    for advice, name, words in (
        ("taper", "below", "hold is below the threshold"),
        ("taper", "caused", "relapse that tapering causes"),
        ("hold", "needless", "could have tapered"),
    ):
        per = [[(getattr(c, name), realised(c)[name]) for c in cohort if c.advice == advice] for cohort in cohorts]
        pairs = [np.array([p for p in group if np.isfinite(p[0])]).reshape(-1, 2) for group in per]
        every = np.concatenate(pairs)
        if not len(every):
            lines.append(f"| {advice} | {words} | 0 | | | |")
            continue
        gaps = np.array([p[:, 0].mean() - p[:, 1].mean() for p in pairs if len(p)])
        error = gaps.std(ddof=1) / np.sqrt(gaps.size) if gaps.size > 1 else np.nan
        stated, real = every.mean(0)
        lines.append(
            f"| {advice} | {words} | {len(every)} | {stated:.3f} | {real:.3f} | {stated - real:+.3f} ± {error:.3f} |"
        )
    return lines


def calibration_table(cohorts: list[list[Case]]) -> list[str]:
    """Calibration in the large and slope of the relapse forecasts, by plan."""
    lines = ["| plan | patients | mean forecast | mean truth | in the large | slope |", "|---|---|---|---|---|---|"]
    for plan in STANDARD_PLANS:
        per = [np.array([(c.forecast[plan], c.truth[plan]) for c in cohort]).reshape(-1, 2) for cohort in cohorts]
        every = np.concatenate(per)
        gaps = np.array([p[:, 0].mean() - p[:, 1].mean() for p in per if len(p)])
        error = gaps.std(ddof=1) / np.sqrt(gaps.size) if gaps.size > 1 else np.nan
        mean, true = every.mean(0)
        lines.append(
            f"| {plan} | {len(every)} | {mean:.3f} | {true:.3f} | {mean - true:+.3f} ± {error:.3f} | {slope(every):.2f} |"
        )
    return lines


def slope(pairs: np.ndarray) -> float:
    """Calibration slope: coefficient of the forecast's logit in a logistic regression of the true probability."""
    p = np.clip(pairs[:, 0], 1e-4, 1 - 1e-4)
    x, y = np.log(p / (1 - p)), pairs[:, 1]

    def loss(beta: np.ndarray) -> float:
        eta = beta[0] + beta[1] * x
        return float((np.logaddexp(0, eta) - y * eta).mean())

    return float(minimize(loss, np.array([0.0, 1.0])).x[1])


def main() -> None:
    """Run and print."""
    count, patients, first = (int(v) for v in (*sys.argv[1:], *("12", "40", "300")[len(sys.argv) - 1 :]))
    cohorts = []
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            cohorts.append(one_cohort(seed, patients, Path(folder)))
        print(f"cohort {seed}: {len(cohorts[-1])} patients with informed forecasts", flush=True)
        print("\n".join([*error_table(cohorts), "", *calibration_table(cohorts)]), flush=True)


if __name__ == "__main__":
    main()
