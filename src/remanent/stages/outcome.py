"""Forecasts of every patient under the standard plans, and which of them the data informed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from remanent.dynamics.compare import settings
from remanent.dynamics.grid import TimeLine, look_ahead, medication_of
from remanent.dynamics.steps import Grid
from remanent.plan.simulate import STANDARD_PLANS, planned_exposure
from remanent.relapse.predict import (
    EDGES_DAYS,
    Ensemble,
    Estimate,
    contraction,
    kept,
    narrowing,
    relapse_probability,
    remanence,
)
from remanent.study.panel import Panel


@dataclass(frozen=True)
class Outcome:
    """Forecasts of every lane.

    Attributes
    ----------
    dose
        By plan, mean exposure over each interval of `EDGES_DAYS`, [class, interval, lane] in the order of `CLASSES`.
    relapse
        By plan, probability of relapse up to each interval end of `EDGES_DAYS`, [interval, lane].
    informed
        By plan, whether the data moved that forecast enough to be shown, [lane].
    remanence, remanence_informed
        Under withdrawal; NaN where undefined, [interval, lane]; [lane].
    unseen
        By plan, probability of relapse from the prior's draws of each mechanism, [interval, draw, lane].
    """

    dose: Mapping[str, np.ndarray]
    relapse: Mapping[str, Estimate]
    informed: Mapping[str, np.ndarray]
    remanence: Estimate
    remanence_informed: np.ndarray
    unseen: Mapping[str, list[np.ndarray]]


def learnt_from(panel: Panel, unknown_doses: Collection[str]) -> np.ndarray:
    """Whose course a population is learnt from, [patient]: everybody but those whose doses are not fully known."""
    return np.array([who not in unknown_doses for who in panel.patients], bool)


def enough_relapses(panel: Panel, unknown_doses: Collection[str]) -> bool:
    """Whether those a population is learnt from had so many relapses that a forecast may be shown."""
    return bool(panel.relapsed[learnt_from(panel, unknown_doses)].sum() >= _limit("relapses"))


def narrowed(
    after: Sequence[np.ndarray], before: Sequence[np.ndarray], ensembles: tuple[Ensemble, Ensemble]
) -> np.ndarray:
    """Whether the data narrowed a forecast, [interval, draw, lane] by mechanism of both ensembles, enough to be shown, [lane]."""
    posterior, prior = ensembles
    return contraction(after, before, (posterior.weight, prior.weight)) >= _limit("contraction")


def _limit(name: str) -> float:
    return float(settings()["informed"][name]["value"])


def forecast(
    panel: Panel, timeline: TimeLine, after: Ensemble, before: Ensemble, unknown_doses: Collection[str] = ()
) -> Outcome:
    """Every standard plan for every lane, under the posterior and, to see what the data added, under the prior."""
    given = [medication_of(panel, int(i)) for i in timeline.lanes]
    enough = enough_relapses(panel, unknown_doses)
    dose = {name: planned_exposure(plan, given, timeline.today, EDGES_DAYS) for name, plan in STANDARD_PLANS.items()}
    relapse, informed, unseen = {}, {}, {}
    for name in STANDARD_PLANS:
        outlook = look_ahead(timeline, dose[name], EDGES_DAYS)
        rolled, blind = kept(after, outlook), kept(before, outlook)
        relapse[name] = relapse_probability(after, rolled)
        unseen[name] = [1 - a.survival for a in blind]
        informed[name] = enough & narrowed([1 - a.survival for a in rolled], unseen[name], (after, before))
        if name == "stop":
            remains = remanence(after, rolled)
            kept_function = narrowing(
                [a.function for a in rolled], [a.function for a in blind], (after.weight, before.weight)
            )
            remains_informed = kept_function >= _limit("contraction")
    return Outcome(dose, relapse, informed, remains, remains_informed, unseen)


def of_reference(outcome: Outcome, grid: Grid) -> Outcome:
    """Under the reference prior, which is of people after ECT, every forecast of a patient who had ECT is shown, and labelled; nobody else's is."""
    treated = np.asarray(grid.ect).max((0, 1), initial=0.0)[: outcome.remanence_informed.size] > 0
    return replace(outcome, informed=dict.fromkeys(outcome.informed, treated), remanence_informed=treated)


def withheld(outcome: Outcome, lanes: np.ndarray) -> Outcome:
    """Nothing is forecast for some lanes."""
    informed = {plan: known & ~lanes for plan, known in outcome.informed.items()}
    return replace(outcome, informed=informed, remanence_informed=outcome.remanence_informed & ~lanes)
