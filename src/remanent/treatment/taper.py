"""Plans that end treatment: at once, or in steps.

A hyperbolic taper takes equal steps of effect: with e = dose/(dose + ED50), step j of n + 1 has

    e_j = e_0 (1 - j/(n+1))        dose_j = ED50 e_j / (1 - e_j)

(Horowitz & Taylor 2019, 10.1016/S2215-0366(19)30032-X). A linear taper, and any taper of a drug without an occupancy
curve, takes equal steps of dose.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from remanent._errors import UsageError
from remanent.treatment.drugs import NOT_DRUGS, Drug, require
from remanent.treatment.exposure import DoseHistory

Shape = Literal["hyperbolic", "linear"]
Doses = Float[np.ndarray, " step"]

DAYS_PER_WEEK = 7.0
LONG_TAPER_WEEKS = 24.0  # from here on, steps of two weeks


def stop(history: DoseHistory, day: float, drugs: Sequence[str] | None = None) -> DoseHistory:
    """All drugs, or those named, at zero from `day` on; psychotherapy is not a drug and goes on unless named."""
    return _join(*_split(history, day, _chosen(history, drugs)))


def taper(
    history: DoseHistory,
    day: float,
    weeks: float = 12,
    shape: Shape = "hyperbolic",
    *,
    drugs: Sequence[str] | None = None,
    tablets: bool = False,
    largest_step: float = 1.0,
) -> DoseHistory:
    """All drugs, or those named, to zero in equal steps; what was planned for them after `day` is dropped.

    The first reduction is on `day`, zero is reached on day + 7·weeks; a step lasts a week (two weeks in tapers of more
    than 24 weeks).

    Parameters
    ----------
    shape
        ``hyperbolic``: equal steps of effect; ``linear``: equal steps of dose.
    tablets
        Doses that can be put together from whole tablets or measured from a solution, nearest to the plan, never above
        the step before.
    largest_step
        Largest fall of effect in one step, as a share of the effect at the start.

    Raises
    ------
    UsageError
        A taper without length, an unknown shape or drug, or a step larger than allowed.
    """
    _check(day, weeks, shape)
    chosen = _chosen(history, drugs)
    steps = _number_of_steps(weeks)
    starts = day + np.arange(steps + 1) * (weeks * DAYS_PER_WEEK / steps)
    before, current = _split(history, day, chosen), _doses_on(history, day, chosen)
    added = []
    for drug, dose in current:
        doses = _steps(drug, dose, steps, shape)
        doses = _in_tablets(drug, dose, doses) if tablets else doses
        _check_steps(drug, np.concatenate([[dose], doses, [0.0]]), largest_step)
        added.append(_segments(drug.name, doses, starts))
    return _join(*before, *added)


# Steps


def _number_of_steps(weeks: float) -> int:
    step_weeks = 2.0 if weeks > LONG_TAPER_WEEKS else 1.0
    return max(1, round(weeks / step_weeks))


def _steps(drug: Drug, dose: float, steps: int, shape: Shape) -> Doses:
    """The doses above zero of a taper of `steps` steps from `dose`, one per step."""
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


def dispensable(drug: Drug, up_to_mg: float) -> Doses:
    """Doses from 0 to `up_to_mg` that whole tablets, or the smallest step of a solution, add up to; ascending, mg.

    Raises
    ------
    UsageError
        Nothing is known of what is sold.
    """
    sold = (
        *(drug.strengths.values if drug.strengths else ()),
        *((drug.liquid_step.value,) if drug.liquid_step else ()),
    )
    if not sold:
        raise UsageError(
            f"no tablet strengths are known for {drug.name}",
            why="its taper cannot be put into tablets",
            do="Leave out tablets",
        )
    parts = [round(mg * 1000.0) for mg in sold]  # µg: whole numbers
    unit = int(np.gcd.reduce(parts))
    reachable = np.zeros(round(up_to_mg * 1000.0) // unit + 1, dtype=bool)
    reachable[0] = True
    for part in (p // unit for p in parts):
        for remainder in range(min(part, reachable.size)):
            reachable[remainder::part] = np.logical_or.accumulate(reachable[remainder::part])
    return np.flatnonzero(reachable) * (unit / 1000.0)


# Segments


def _segments(name: str, doses: Doses, starts: Doses) -> DoseHistory:
    """`doses[j]` from starts[j] to starts[j+1]; equal neighbours joined, zeros left out."""
    new = np.concatenate([[True], np.diff(doses) != 0.0])
    first = np.flatnonzero(new)
    stops = starts[np.append(first[1:], doses.size)]
    keep = doses[first] > 0.0
    return DoseHistory((name,) * int(keep.sum()), doses[first][keep], starts[first][keep], stops[keep])


def _split(history: DoseHistory, day: float, chosen: frozenset[str]) -> tuple[DoseHistory, ...]:
    """The history with the chosen drugs ending on `day` at the latest."""
    ends = np.array([require(name).name in chosen for name in history.drug], dtype=bool)
    stops = np.where(ends, np.minimum(history.stop_day, day), history.stop_day)
    keep = ~ends | (history.start_day < day)
    names = tuple(name for name, kept in zip(history.drug, keep, strict=True) if kept)
    return (DoseHistory(names, history.dose_mg_day[keep], history.start_day[keep], stops[keep]),)


def _join(*parts: DoseHistory) -> DoseHistory:
    return DoseHistory(
        tuple(name for part in parts for name in part.drug),
        np.concatenate([part.dose_mg_day for part in parts]),
        np.concatenate([part.start_day for part in parts]),
        np.concatenate([part.stop_day for part in parts]),
    )


def _doses_on(history: DoseHistory, day: float, chosen: frozenset[str]) -> list[tuple[Drug, float]]:
    """Daily dose of each chosen drug on `day` as planned so far; segments of one drug are summed."""
    doses: dict[str, float] = {}
    for name, dose, start, end in zip(
        history.drug, history.dose_mg_day, history.start_day, history.stop_day, strict=True
    ):
        generic = require(name).name
        if generic in chosen and start <= day < end and dose > 0.0:
            doses[generic] = doses.get(generic, 0.0) + float(dose)
    return [(require(generic), dose) for generic, dose in doses.items()]


# Checks


def _chosen(history: DoseHistory, drugs: Sequence[str] | None) -> frozenset[str]:
    """Generic names to taper."""
    given = {drug.name: drug for drug in map(require, history.drug)}
    if drugs is None:
        return frozenset(name for name, drug in given.items() if drug.drug_class not in NOT_DRUGS)
    named = frozenset(require(name).name for name in drugs)
    never = sorted(named - given.keys())
    if never:
        raise UsageError(
            f"{', '.join(never)} was never given to this patient",
            why="it cannot be tapered",
            do=f"Name one of {', '.join(sorted(given))}",
        )
    return named


def _check(day: float, weeks: float, shape: str) -> None:
    if not np.isfinite(day):
        raise UsageError(
            f"taper from day {day}", why="a taper starts on a day", do="Give days since the last ECT session"
        )
    if not (np.isfinite(weeks) and weeks > 0.0):
        raise UsageError(f"a taper over {weeks} weeks", why="a taper takes time", do="Give weeks above 0, or use stop")
    if shape not in ("hyperbolic", "linear"):
        raise UsageError(
            f"taper shape {shape!r}", do="Use hyperbolic (equal steps of effect) or linear (equal steps of dose)"
        )


def _check_steps(drug: Drug, doses: Doses, largest_step: float) -> None:
    effect = _effect(drug, doses)
    largest = float(-np.diff(effect / effect[0]).min())
    if largest > largest_step * (1.0 + 1e-9):
        raise UsageError(
            f"a step of {drug.name} takes {largest:.0%} of its effect at once",
            why=f"at most {largest_step:.0%} is allowed",
            do="Take more weeks, the hyperbolic shape, or a solution in place of tablets",
        )
