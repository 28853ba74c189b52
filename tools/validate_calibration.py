"""States, remanence, forecasts and stated errors of the advice against the known truth of many simulated cohorts.

usage: python tools/validate_calibration.py [COHORTS] [PATIENTS] [FIRST_SEED] [SCENARIO]     prints the tables of docs/validation/calibration.md and advice.md

SCENARIO is `demo`; `recovered`: an active drug, much and varied gain of structure, and a hazard that is low for those who have it, so that many could taper;
`varied`: as `demo`, but patients, and days, differ as much as the priors hold on average (root mean square of each spread; `demo` has the middle or less);
or `prior`: mechanism and dynamics of every cohort drawn from the model's own priors, under which stated probabilities must be realised if the code is right.
The advice is judged by two rules: the shipped one, and an eager one that tapers where hold is surely above 0.4 and asks for nothing else.

Studies are simulated as files (ratings, drugs, labs, sleep, events; no scans) and run like any other. The truth of a forecast is the probability of relapse of
each virtual patient under each plan, by the simulator's own integration of the model's equations. The patients' own courses differ (continued, tapered,
stopped at various times), so a plan ahead is mostly one that the patient has never been through. `±`: standard error, cohorts being the units.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

from remanent.dynamics.compare import compare
from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import build_timeline, look_ahead
from remanent.dynamics.infer import fit
from remanent.dynamics.priors import MECHANISMS, layout, table
from remanent.plan.decide import decide, shipped_thresholds
from remanent.plan.errors import AdviceErrors, Truths, could_taper
from remanent.plan.simulate import STANDARD_PLANS, months_on_drugs
from remanent.relapse.predict import EDGES_DAYS, Ensemble, kept
from remanent.stages.analyse import Compared, Results, analyse, without_runaways
from remanent.stages.error_rates import error_rates
from remanent.stages.measure import measure_study
from remanent.stages.next_measurement import ensemble_of, possible_today
from remanent.stages.tables import report_rows
from remanent.study.panel import Panel, build_panel
from remanent.study.store import Record
from remanent.trial.cohort import simulate
from remanent.trial.spec import demo_spec
from remanent.trial.truth import HORIZONS, read_truth
from remanent.trial.write import write_study

HORIZON = 182
RECOVERED = {"mu_gs": 0.8, "sd_gs": 0.4, "c": 0.0085, "a": 0.03, "h0": 0.005, "eta_f": 3.5}
SPREADS = ("sd_p", "sd_gs", "sd_gf", "sig_f", "sig_s")
DRAWN = ("k_f", "r", "p", "sd_p", "mu_gs", "sd_gs", "sd_gf", "sig_f", "sig_s", "omega", "tau_w", "tau_e", "h0", "eta_f")
EAGER = {"least_hold": 0.4, "most_extra_relapse": 0.3, "act_relapse": 1.01, "crp_mg_l": 1e3, "sleep_h": 0.0}
SHIPPED = {name: float(entry["value"]) for name, entry in (shipped_thresholds()["default"] or {}).items()}
RULES = {"shipped": SHIPPED, "eager": {**SHIPPED, **EAGER}}
ERRORS = (
    ("taper", "below", "hold is below the threshold"),
    ("taper", "caused", "relapse that tapering causes"),
    ("hold", "needless", "could have tapered"),
    ("hold", "needless_months", "months on drugs that this costs"),
)
Truth = dict[tuple[str, str, float | None, int | None, str | None], float | str]


class Case(NamedTuple):
    """One patient at risk whose forecasts the data inform, under one rule.

    Attributes
    ----------
    stated
        Expected errors of the advice by name, for this patient and (`rule_...`) for the rule as such; NaN where that error is not possible.
    forecast, truth
        Probability of relapse within HORIZON by plan.
    early
        Forecast and truth within 91 days on unchanged doses.
    months
        Expected months on drugs within HORIZON on unchanged doses, by the truth.
    """

    rule: str
    advice: str
    stated: dict[str, float]
    forecast: dict[str, float]
    truth: dict[str, float]
    early: tuple[float, float] = (np.nan, np.nan)
    months: float = np.nan


class Cohort(NamedTuple):
    """What one cohort shows: rows (truth, mean, share of the posterior below the truth) by quantity, and its cases."""

    pairs: dict[str, np.ndarray]
    cases: list[Case]
    converged: bool


def _silent(*_: object, **__: object) -> None:
    """Drop a log line."""


def population(scenario: str, seed: int) -> dict[str, object]:
    """What a specification names of the true population."""
    if scenario == "demo":
        return {}
    if scenario == "varied":
        spread = table()["dynamics"]
        return {"params": {k: spread[k]["mean"] * np.exp(spread[k]["sd"] ** 2) for k in SPREADS}}
    if scenario == "recovered":
        return {"mechanism": "active", "params": RECOVERED}
    rng, prior = np.random.default_rng([seed, 11]), table()["dynamics"]
    drawn = {name: _positive(prior[name], rng) for name in (*DRAWN, "c_ratio", "a_ratio")}
    c = drawn["r"] * drawn.pop("c_ratio")
    a = c * drawn.pop("a_ratio")
    stress = [float(rng.normal(prior[name]["mean"], prior[name]["sd"])) for name in ("b_crp", "b_sleep")]
    params = {**drawn, "c": c, "a": a, "b": stress}
    mechanism = MECHANISMS[rng.integers(len(MECHANISMS))]
    passive, active = (mechanism in both for both in (("passive", "dual"), ("active", "dual")))
    absent = (*(() if passive else ("p", "sd_p")), *(() if active else ("a",)))
    return {"mechanism": mechanism, "params": {k: v for k, v in params.items() if k not in absent}}


def _positive(entry: Mapping[str, Any], rng: np.random.Generator) -> float:
    """A draw of the prior above zero: the simulator wants gains that are."""
    if entry["scale"] == "log":
        return float(entry["mean"] * np.exp(entry["sd"] * rng.normal()))
    while (drawn := rng.normal(entry["mean"], entry["sd"])) <= 0:
        pass
    return float(drawn)


def one_cohort(seed: int, patients: int, folder: Path, scenario: str = "demo") -> Cohort:
    """Simulate, write, read and analyse one cohort, and hold it against its truth."""
    spec = demo_spec(n_patients=patients, seed=seed, derivatives=False, **population(scenario, seed))
    write_study(simulate(spec), folder / "study")
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=_silent)
    with Record.open(folder / "out") as record:
        panel = build_panel(record.tables(), record.features())
    results = analyse(panel, seed=0, thresholds=None, log=_silent, population=_fitted(panel))
    if results is None:
        raise RuntimeError("the simulated cohort gave no results")
    truth = read_truth(folder / "study")
    return Cohort(
        {**states(results, truth), **ahead(results, truth)}, cases(results, truth), results.posterior.converged
    )


def _fitted(panel: Panel) -> Compared:
    """The population as `analyse` fits and compares it; given so, scores of patients left out, which nothing here asks for, are not computed."""
    design = choose_design(panel)
    line = build_timeline(panel, design)
    posterior = without_runaways(fit(layout(design), line.grid), line.grid)
    return design, posterior, compare(posterior, line.grid, len(line.lanes), 0)


# Intervals


def states(results: Results, truth: Truth) -> dict[str, np.ndarray]:
    """Function and structure on every day of states.tsv."""
    x, day, out = results.states.smoothed, results.timeline.grid.day, {}
    for name, mean, sd in (("function", x.f_mean, x.f_sd), ("structure", x.s_mean, x.s_sd)):
        rows = [
            (true, mean[k, lane], norm.cdf((true - mean[k, lane]) / sd[k, lane]))
            for lane, i in enumerate(results.timeline.lanes)
            for k in report_rows(results, lane)
            if isinstance(true := truth.get((results.panel.patients[i], name, float(day[k, lane]), None, None)), float)
        ]
        out[name] = np.array(rows).reshape(-1, 3)
    return out


def ahead(results: Results, truth: Truth) -> dict[str, np.ndarray]:
    """Relapse under each plan and remanence at HORIZON, of patients whose forecast the data inform.

    The truth of remanence is taken from function itself, not from truth.tsv's remanence, which is n/a where true function is low: choosing patients by the
    truth would make any interval look wrong.
    """
    line, after, out = results.timeline, results.after, {}
    row = int(np.searchsorted(EDGES_DAYS[1:], HORIZON))
    people = [(lane, results.panel.patients[i], float(line.today[lane])) for lane, i in enumerate(line.lanes)]
    for plan in STANDARD_PLANS:
        rolled = kept(after, look_ahead(line, results.outcome.dose[plan], EDGES_DAYS))
        out[f"relapse {plan}"] = _against(
            after,
            [1 - a.survival[row] for a in rolled],
            results.outcome.relapse[plan].mean[row],
            {
                lane: truth.get((who, "relapse", day, HORIZON, plan))
                for lane, who, day in people
                if results.outcome.informed[plan][lane]
            },
        )
        if plan == "stop":
            ratio = [a.function[row] / t.f for a, t in zip(rolled, after.today, strict=True)]
            known = {
                lane: truth[who, "function_ahead", day, HORIZON, plan] / truth[who, "function", day, None, None]
                for lane, who, day in people
                if results.outcome.remanence_informed[lane] and (who, "function_ahead", day, HORIZON, plan) in truth
            }
            out["remanence"] = _against(after, ratio, results.outcome.remanence.mean[row], known)
    return out


def _against(after: Ensemble, draws: Sequence[np.ndarray], mean: np.ndarray, known: dict[int, object]) -> np.ndarray:
    """Rows (truth, mean, share below) of the lanes with a truth; draws of each mechanism, [draw, lane]."""
    rows = [
        (true, mean[lane], sum(w * (d[:, lane] < true).mean() for w, d in zip(after.weight[lane], draws, strict=True)))
        for lane, true in known.items()
        if isinstance(true, float) and np.isfinite(true) and np.isfinite(mean[lane])
    ]
    return np.array(rows).reshape(-1, 3)


def coverage_table(cohorts: Sequence[Cohort]) -> list[str]:
    """Error, bias and coverage of the central 50 and 90 % intervals."""
    lines = [
        "| quantity | values | mean absolute error | bias | 50 % interval covers | 90 % interval covers |",
        "|---|---|---|---|---|---|",
    ]
    for name in cohorts[0].pairs:
        per = [c.pairs[name] for c in cohorts if len(c.pairs[name])]
        every = np.concatenate(per)
        bias = ratio([v[:, 1] - v[:, 0] for v in per])
        cover = [ratio([abs(v[:, 2] - 0.5) <= half for v in per]) for half in (0.25, 0.45)]
        lines.append(
            f"| {name} | {len(every)} | {np.abs(every[:, 1] - every[:, 0]).mean():.3f} | {bias[0]:+.3f} ± {bias[1]:.3f} | "
            + " | ".join(f"{100 * share:.0f} ± {100 * error:.0f} %" for share, error in cover)
            + " |"
        )
    return lines


def ratio(per: Sequence[np.ndarray]) -> tuple[float, float]:
    """Mean over all values, and its standard error from totals of cohorts, which are independent of one another."""
    total, count = np.array([v.sum() for v in per], float), np.array([len(v) for v in per], float)
    mean = total.sum() / count.sum()
    k = len(per)
    spread = np.sqrt(k / (k - 1) * ((total - mean * count) ** 2).sum()) / count.sum() if k > 1 else np.nan
    return float(mean), float(spread)


# Advice


def cases(results: Results, truth: Truth) -> list[Case]:
    """Every patient still at risk whose forecasts the data inform, under both rules, with the simulator's truth."""
    row, early = (int(np.searchsorted(EDGES_DAYS[1:], days)) for days in (HORIZON, 91))
    now, out = ensemble_of(results, possible_today(results, 0)), []
    for rule, limits in RULES.items():
        thresholds = {"default": {name: {"value": value} for name, value in limits.items()}}
        judged = replace(results, advice=tuple(decide(s, thresholds) for s in results.situation))
        rates = error_rates(judged, now, 0, thresholds)
        for lane, i in enumerate(results.timeline.lanes):
            who, day = results.panel.patients[i], float(results.timeline.today[lane])
            true = {plan: truth.get((who, "relapse", day, HORIZON, plan)) for plan in STANDARD_PLANS}
            informed = all(results.outcome.informed[plan][lane] for plan in STANDARD_PLANS)
            if not informed or not all(isinstance(v, float) for v in true.values()):
                continue
            code = judged.advice[lane].code
            stated = {**_chances(rates.patients.get(who)), **_chances(rates.rule.get(code), "rule_")}
            relapse = results.outcome.relapse
            forecast = {plan: float(relapse[plan].mean[row, lane]) for plan in STANDARD_PLANS}
            soon = (float(relapse["continue"].mean[early, lane]), truth[who, "relapse", day, 91, "continue"])
            months = _months(truth, (who, day), results.outcome.dose["continue"][:, :, [lane]], row)
            out.append(Case(rule, code, stated, forecast, true, soon, months))
    return out


def _chances(errors: AdviceErrors | None, prefix: str = "") -> dict[str, float]:
    names = {name: getattr(errors, name, None) for _, name, _ in ERRORS}
    return {prefix + name: np.nan if one is None else one.mean for name, one in names.items()}


def _months(truth: Truth, who: tuple[str, float], dose: np.ndarray, row: int) -> float:
    """Months on drugs within HORIZON by the truth, whose cumulative hazard is interpolated between its horizons."""
    known = [truth[who[0], "relapse", who[1], h, "continue"] for h in HORIZONS]
    cumulative = -np.log1p(-np.clip(known, 0.0, 1 - 1e-9))
    alive = np.exp(-np.interp(EDGES_DAYS[1:], (0, *HORIZONS), (0.0, *cumulative)))
    return float(months_on_drugs(alive[:, None, None], dose)[row, 0, 0])


def realised(case: Case) -> dict[str, float]:
    """The errors that the truth makes of an advice."""
    alive = {plan: np.array([1 - p]) for plan, p in case.truth.items()}
    truths = Truths(alive["stop"], alive["continue"], alive["taper"], np.zeros(1), np.ones(1))
    limits = RULES[case.rule]
    needless = float(could_taper(truths, limits)[0])
    return {
        "below": float(truths.hold[0] < limits["least_hold"]),
        "caused": float(max(truths.stay[0] - truths.tapered[0], 0.0)),
        "needless": needless,
        "needless_months": needless * case.months if needless else 0.0,
    }


def error_table(cohorts: Sequence[Sequence[Case]]) -> list[str]:
    """Stated against realised, for each patient and for the rule as such; `act` is right as far as relapse comes as soon as it says."""
    lines = [
        "| rule | advice | error | stated for | patients | stated | realised | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        for advice, name, words in ERRORS:
            given = [[c for c in cohort if (c.rule, c.advice) == (rule, advice)] for cohort in cohorts]
            for key, whom in ((name, "the patient"), (f"rule_{name}", "the rule")):
                per = [
                    [
                        (c.stated[key], realised(c)[name])
                        for c in mine
                        if np.isfinite(c.stated.get(name, np.nan) + c.stated.get(key, np.nan))
                    ]
                    for mine in given
                ]
                lines.append(_stated_line(f"| {rule} | {advice} | {words} | {whom}", per))
    acted = [[c.early for c in cohort if (c.rule, c.advice) == ("shipped", "act")] for cohort in cohorts]
    return [*lines, _stated_line("| shipped | act | relapse within 91 days on unchanged doses | the patient", acted)]


def _stated_line(head: str, per: Sequence[Sequence[tuple[float, float]]]) -> str:
    pairs = [np.array(group) for group in per if group]
    if not pairs:
        return f"{head} | 0 | | | |"
    stated, real = np.concatenate(pairs).mean(0)
    gap, error = ratio([p[:, 0] - p[:, 1] for p in pairs])
    return f"{head} | {sum(map(len, pairs))} | {stated:.3f} | {real:.3f} | {gap:+.3f} ± {error:.3f} |"


def calibration_table(cohorts: Sequence[Sequence[Case]]) -> list[str]:
    """Calibration in the large and slope of the relapse forecasts, by plan; within cohorts each has its own intercept.

    Where the true population is the same in every cohort, what differs between the cohorts' fits is error alone and makes the slope of all too small.
    """
    lines = [
        "| plan | patients | mean forecast | mean truth | in the large | slope | slope within cohorts |",
        "|---|---|---|---|---|---|---|",
    ]
    for plan in STANDARD_PLANS:
        each = [[(c.forecast[plan], c.truth[plan]) for c in cohort if c.rule == "shipped"] for cohort in cohorts]
        per = [np.array(one) for one in each if one]
        every = np.concatenate(per)
        gap, error = ratio([p[:, 0] - p[:, 1] for p in per])
        mean, true = every.mean(0)
        slopes = [f"{slope(per, own=own):.2f} ± {slope_error(per, own=own):.2f}" for own in (False, True)]
        lines.append(
            f"| {plan} | {len(every)} | {mean:.3f} | {true:.3f} | {gap:+.3f} ± {error:.3f} | {' | '.join(slopes)} |"
        )
    return lines


def slope(per: Sequence[np.ndarray], *, own: bool) -> float:
    """Calibration slope: coefficient of the forecast's logit in a logistic regression of the true probability; `own`: each cohort has its own intercept."""
    pairs = np.concatenate(per)
    group = np.repeat(np.arange(len(per)), [len(one) for one in per]) if own else np.zeros(len(pairs), int)
    p = np.clip(pairs[:, 0], 1e-4, 1 - 1e-4)
    x, y = np.log(p / (1 - p)), pairs[:, 1]

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        eta = beta[group] + beta[-1] * x
        left = (expit(eta) - y) / len(y)
        by_group = np.bincount(group, left, len(beta) - 1)
        return float((np.logaddexp(0, eta) - y * eta).mean()), np.append(by_group, left @ x)

    return float(minimize(loss, np.append(np.zeros(group.max() + 1), 1.0), jac=True).x[-1])


def slope_error(per: Sequence[np.ndarray], *, own: bool, resamples: int = 100) -> float:
    """Its standard error, cohorts resampled."""
    rng, k = np.random.default_rng(0), len(per)
    if k < 2:
        return np.nan
    return float(np.std([slope([per[i] for i in rng.integers(k, size=k)], own=own) for _ in range(resamples)]))


def main() -> None:
    """Run and print."""
    given = [*sys.argv[1:], *("12", "40", "300", "demo")[len(sys.argv) - 1 :]]
    (count, patients, first), scenario = map(int, given[:3]), given[3]
    cohorts: list[Cohort] = []
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            cohorts.append(one_cohort(seed, patients, Path(folder), scenario))
        last = cohorts[-1]
        advised = Counter(f"{c.rule} {c.advice}" for c in last.cases)
        print(
            f"cohort {seed}: converged {last.converged}, {len(last.cases) // len(RULES)} informed, {dict(advised)}",
            flush=True,
        )
        if len(cohorts) > 1 or count == 1:
            people = [c.cases for c in cohorts]
            print(
                f"\n{len(cohorts)} cohorts of {patients}, {scenario}, forecasts at {HORIZON} days:\n",
                *coverage_table(cohorts),
                sep="\n",
            )
            print("", *calibration_table(people), "", *error_table(people), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
