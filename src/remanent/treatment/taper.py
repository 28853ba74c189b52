"""Plans: end treatment at once or in steps, or set a dose.

A hyperbolic taper takes equal steps of effect: with e = dose/(dose + ED50), step j of n + 1 has

    e_j = e_0 (1 - j/(n+1))        dose_j = ED50 e_j / (1 - e_j)

(Horowitz & Taylor 2019, 10.1016/S2215-0366(19)30032-X). A linear taper, and any taper of a drug without an occupancy
curve, takes equal steps of dose.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from remanent._errors import UsageError
from remanent.treatment.drugs import NOT_DRUGS, Drug, require
from remanent.treatment.exposure import DoseHistory

Number = float | int
Doses = Float[np.ndarray, " step"]
StepEdges = Float[np.ndarray, "step+1"]
Days = Float[np.ndarray, " day"]

SHAPES = ("hyperbolic", "linear")
DAYS_PER_WEEK = 7.0
LONG_TAPER_WEEKS = 24.0  # from here on, steps of two weeks


def stop(history: DoseHistory, day: Number, drugs: Sequence[str] | None = None) -> DoseHistory:
    """All drugs, or those named, at zero from `day` on; psychotherapy is not a drug and goes on unless named."""
    _check_day(day)
    return _until(history, day, _chosen(history, drugs))


def taper(
    history: DoseHistory,
    day: Number,
    weeks: Number = 12,
    shape: str = "hyperbolic",
    *,
    drugs: Sequence[str] | None = None,
    tablets: bool = False,
    largest_step: Number = 1.0,
) -> DoseHistory:
    """All drugs taken on `day`, or those of them named, to zero in equal steps; what was planned for them after `day` is dropped.

    The first reduction is on `day`, zero is reached on day + 7·weeks; a step lasts a week (two weeks in tapers of more
    than 24 weeks). Each drug takes its own equal steps; psychotherapy goes on unless named.

    Parameters
    ----------
    shape
        ``hyperbolic``: equal steps of effect; ``linear``: equal steps of dose.
    tablets
        Doses that can be put together from whole tablets or measured from a solution, nearest to the plan, never above
        the step before.
    largest_step
        Largest fall of steady-state effect in one step, as a share of the effect at the start.

    Raises
    ------
    InputError
        The history names an unknown drug.
    UsageError
        A taper without length, an unknown shape, a drug never given, or a step larger than allowed.
    """
    _check_day(day)
    _check_shape(weeks, shape)
    chosen = _chosen(history, drugs)
    steps = max(1, round(weeks / (2.0 if weeks > LONG_TAPER_WEEKS else 1.0)))
    starts = day + np.arange(steps + 1) * (weeks * DAYS_PER_WEEK / steps)
    added = []
    for drug in map(require, sorted(chosen)):
        dose = daily_dose(history, drug.name, np.array([day], dtype=float))
        if dose[0] <= 0:
            continue
        doses = _steps(drug, float(dose[0]), steps, shape)
        doses = _in_tablets(drug, float(dose[0]), doses) if tablets else doses
        _check_steps(drug, np.concatenate([dose, doses, [0.0]]), largest_step)
        added.append(_segments(drug.name, doses, starts))
    return _join(_until(history, day, chosen), *added)


def set_dose(history: DoseHistory, day: Number, drug: str, dose_mg_day: Number) -> DoseHistory:
    """One drug at one dose from `day` on, whatever was planned for it; other drugs as they stand.

    Raises
    ------
    InputError
        The drug is unknown.
    UsageError
        The dose is negative or above the labelled maximum.
    """
    _check_day(day)
    known = require(drug)
    _check_dose(known, dose_mg_day)
    new = _segments(known.name, np.array([dose_mg_day], dtype=float), np.array([day, np.inf]))
    return _join(_until(history, day, frozenset({known.name})), new)


def check_plan(history: DoseHistory, plan: DoseHistory, today: Number) -> None:
    """Refuse a plan that rewrites what was given before `today` or raises a dose above the labelled maximum.

    Raises
    ------
    InputError
        An unknown drug.
    UsageError
        The past is changed, or a dose is too high; one that the patient already takes above the maximum may stay.
    """
    days = _days_of_change(history, plan, today)
    ahead = days >= today
    for drug in {d.name: d for d in map(require, (*history.drug, *plan.drug))}.values():
        given, planned = daily_dose(history, drug.name, days), daily_dose(plan, drug.name, days)
        rewritten = days[~ahead & ~np.isclose(given, planned)]
        if rewritten.size:
            raise UsageError(
                f"the plan changes {drug.name} on day {rewritten[0]:g}",
                why=f"that is before today, day {today:g}",
                do="Start the plan today or later",
            )
        if planned[ahead].max() > given[~ahead][-1]:
            _check_dose(drug, float(planned[ahead].max()))


def daily_dose(history: DoseHistory, drug: str, days: Days) -> Days:
    """Dose of a drug on each day, mg/day; segments that overlap add."""
    generic = require(drug).name
    own = np.array([require(name).name == generic for name in history.drug], dtype=bool)
    on = (history.start_day[own] <= days[:, None]) & (days[:, None] < history.stop_day[own])
    return on.astype(float) @ history.dose_mg_day[own]


def dispensable(drug: Drug, up_to_mg: Number) -> Doses:
    """Doses from 0 to `up_to_mg` that whole tablets, or the smallest step of a solution, add up to; ascending, mg.

    Raises
    ------
    UsageError
        Nothing is known of what is sold.
    """
    sold = drug.strengths.values if drug.strengths else ()
    sold += (drug.liquid_step.value,) if drug.liquid_step else ()
    if not sold:
        raise UsageError(
            f"a taper of {drug.name} in tablets", why="no strengths are known for it", do="Leave out tablets"
        )
    parts = [round(mg * 1000.0) for mg in sold]  # µg: whole numbers
    unit = int(np.gcd.reduce(parts))
    reachable = np.zeros(int(up_to_mg * 1000.0 + 1e-6) // unit + 1, dtype=bool)
    reachable[0] = True
    for part in (p // unit for p in parts):
        for remainder in range(min(part, reachable.size)):
            reachable[remainder::part] = np.logical_or.accumulate(reachable[remainder::part])
    return np.flatnonzero(reachable) * (unit / 1000.0)


# Steps


def _steps(drug: Drug, dose: float, steps: int, shape: str) -> Doses:
    """The doses above zero of a taper from `dose`, one per step."""
    left = 1.0 - np.arange(1, steps + 1) / (steps + 1)
    if shape == "linear" or drug.occupancy is None:
        return dose * left
    effect = _effect(drug, np.array([dose])) * left
    return drug.occupancy.ed50.value * effect / (1.0 - effect)


def _effect(drug: Drug, dose: Doses) -> Doses:
    """Share of the largest effect at steady state; of the full dose for a drug without occupancy curve."""
    if drug.occupancy is None:
        return dose / drug.full_dose.value
    return dose / (dose + drug.occupancy.ed50.value)


def _in_tablets(drug: Drug, dose: float, doses: Doses) -> Doses:
    """Nearest doses that can be dispensed, not above `dose` and never rising."""
    sold = dispensable(drug, dose)
    nearest = sold[np.abs(doses[:, None] - sold).argmin(axis=1)]
    return np.minimum.accumulate(nearest)


# Segments


def _segments(name: str, doses: Doses, starts: StepEdges) -> DoseHistory:
    """`doses[j]` from starts[j] to starts[j + 1]; equal neighbours joined, zeros left out."""
    first = np.flatnonzero(np.concatenate([[True], np.diff(doses) != 0.0]))
    stops = starts[np.append(first[1:], doses.size)]
    keep = doses[first] > 0.0
    return DoseHistory((name,) * int(keep.sum()), doses[first][keep], starts[first][keep], stops[keep])


def _until(history: DoseHistory, day: Number, chosen: frozenset[str]) -> DoseHistory:
    """The history with the chosen drugs ending on `day` at the latest."""
    ends = np.array([require(name).name in chosen for name in history.drug], dtype=bool)
    stops = np.where(ends, np.minimum(history.stop_day, day), history.stop_day)
    keep = ~ends | (history.start_day < day)
    names = tuple(name for name, kept in zip(history.drug, keep, strict=True) if kept)
    return DoseHistory(names, history.dose_mg_day[keep], history.start_day[keep], stops[keep])


def _join(*parts: DoseHistory) -> DoseHistory:
    return DoseHistory(
        tuple(name for part in parts for name in part.drug),
        np.concatenate([part.dose_mg_day for part in parts]),
        np.concatenate([part.start_day for part in parts]),
        np.concatenate([part.stop_day for part in parts]),
    )


# Checks


def _days_of_change(history: DoseHistory, plan: DoseHistory, today: Number) -> Days:
    """Today, every day on which a dose of either changes, and one day before them all."""
    days = np.concatenate([[today], history.start_day, history.stop_day, plan.start_day, plan.stop_day])
    days = np.unique(days[np.isfinite(days)])
    return np.append(days[0] - 1.0, days)


def _chosen(history: DoseHistory, drugs: Sequence[str] | None) -> frozenset[str]:
    """Generic names to end: those named, else every drug of the history."""
    given = {drug.name: drug for drug in map(require, history.drug)}
    if drugs is None:
        return frozenset(name for name, drug in given.items() if drug.drug_class not in NOT_DRUGS)
    named = frozenset(require(name).name for name in drugs)
    never = sorted(named - given.keys())
    if never:
        raise UsageError(
            f"{', '.join(never)} was never given to this patient",
            why="it cannot be ended",
            do=f"Name one of {', '.join(sorted(given)) or 'the drugs given (there are none)'}",
        )
    return named


def _check_day(day: Number) -> None:
    if not np.isfinite(day):
        raise UsageError(
            f"a plan from day {day}", why="a plan starts on a day", do="Give days since the last ECT session"
        )


def _check_shape(weeks: Number, shape: str) -> None:
    if not (np.isfinite(weeks) and weeks > 0.0):
        raise UsageError(f"a taper over {weeks} weeks", why="a taper takes time", do="Give weeks above 0, or use stop")
    if shape not in SHAPES:
        raise UsageError(f"taper shape {shape!r}", do="Use hyperbolic (equal steps of effect) or linear (of dose)")


def _check_dose(drug: Drug, dose: Number) -> None:
    if not 0.0 <= dose <= drug.maximum_dose.value:
        raise UsageError(
            f"{drug.name} {dose:g} {drug.maximum_dose.unit}",
            why=f"the labelled maximum is {drug.maximum_dose.value:g}",
            do="Plan a dose from 0 to the maximum",
        )


def _check_steps(drug: Drug, doses: Doses, largest_step: Number) -> None:
    effect = _effect(drug, doses)
    falls = -np.diff(effect)
    if falls.max() > largest_step * effect[0] * (1.0 + 1e-9):
        raise UsageError(
            f"a step of {drug.name} takes {falls.max() / effect[0]:.0%} of its effect at once",
            why=f"at most {largest_step:.0%} is allowed",
            do="Take more weeks, the hyperbolic shape, or a solution in place of tablets",
        )
