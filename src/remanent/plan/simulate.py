"""Dose plans from today on, as the exposure that a forecast rolls through."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from remanent.dynamics.grid import Medication, exposure_by_class
from remanent.treatment.drugs import CLASSES
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import stop, taper

Plan = Callable[[DoseHistory, float], DoseHistory]

TAPER_WEEKS = 12
# A segment this short is one administration, not a dose that stands.
SESSION_DAYS = 2.0


def continued(history: DoseHistory, day: float) -> DoseHistory:
    """Doses as they stand on `day`: what runs on that day goes on, whatever was planned later; a single session (ketamine) is not repeated."""
    running = (
        (history.start_day <= day) & (history.stop_day > day) & (history.stop_day - history.start_day > SESSION_DAYS)
    )
    past = (history.start_day <= day) & ~running
    keep = running | past
    return DoseHistory(
        tuple(d for d, k in zip(history.drug, keep, strict=True) if k),
        history.dose_mg_day[keep],
        history.start_day[keep],
        np.where(running, np.inf, history.stop_day)[keep],
    )


STANDARD_PLANS: Mapping[str, Plan] = {
    "continue": continued,
    "taper": lambda history, day: taper(continued(history, day), day, TAPER_WEEKS),
    "stop": lambda history, day: stop(continued(history, day), day),
}

PLAN_WORDS: Mapping[str, str] = {
    "continue": "all doses as they stand today",
    "taper": f"all drugs to zero in equal steps of effect over {TAPER_WEEKS} weeks from today",
    "stop": "all drugs at zero from today",
}


def planned_exposure(
    plan: Plan,
    given: Sequence[Medication],
    today: Float[np.ndarray, " patient"],
    edges_days: Float[np.ndarray, " edge"],
) -> Float[np.ndarray, "class interval patient"]:
    """Mean exposure of each patient to each of `CLASSES` over intervals that start today; edges in days from today.

    Serum levels carry over to later doses.
    """
    columns = [
        exposure_by_class(plan(one.doses, float(day)), one.levels, day + edges_days)
        for one, day in zip(given, today, strict=True)
    ]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(CLASSES), len(edges_days) - 1, 0))
