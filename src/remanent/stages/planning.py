"""What to do beside the advice itself, for every patient: error rates, stress tests, the next measurement, early warning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from remanent.dynamics.compare import settings
from remanent.dynamics.warning import EarlyWarning
from remanent.plan.classes import Favoured, favoured
from remanent.plan.plans import PlanSpec, words
from remanent.stages import courses, early_warning, error_rates, next_measurement
from remanent.stages.analyse import Results
from remanent.stages.courses import Stability
from remanent.stages.error_rates import ErrorRates
from remanent.stages.next_measurement import Next
from remanent.study.panel import Panel


@dataclass(frozen=True)
class Planning:
    """By participant; those about whom nothing can be said are left out.

    Attributes
    ----------
    plan_words
        What each plan of the user's own is.
    classes
        Which class of drug the posterior favours by which effect, where the study can tell.
    """

    warnings: Mapping[str, EarlyWarning] = field(default_factory=dict)
    errors: ErrorRates | None = None
    following: Mapping[str, Sequence[Next]] = field(default_factory=dict)
    stability: Stability | None = None
    plan_words: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[Favoured, ...] = ()


def plan_ahead(
    panel: Panel,
    results: Results | None,
    seed: int,
    thresholds: Mapping[str, Any] | None = None,
    plans: Sequence[PlanSpec] = (),
) -> Planning:
    """Everything of this kind, from the panel and the results."""
    warnings = early_warning.early_warnings(panel, seed)
    if results is None:
        return Planning(warnings)
    possible = next_measurement.possible_today(results, seed)
    now = next_measurement.ensemble_of(results, possible)
    return Planning(
        warnings,
        error_rates.error_rates(results, now, seed, thresholds),
        next_measurement.next_measurements(results, possible, seed, thresholds),
        courses.stability(results),
        {plan.name: words(plan) for plan in plans},
        _classes(results),
    )


def _classes(results: Results) -> tuple[Favoured, ...]:
    c = results.comparison
    limits, rng = settings()["identifiable"], np.random.default_rng([results.seed, 7])
    return favoured(results.posterior, c.evidence_weight, c.identifiability.cohort, limits, rng)


def tables(panel: Panel, results: Results | None, planning: Planning) -> dict[str, dict[str, list[Any]]]:
    """Columns of the output tables."""
    return {
        "warnings": early_warning.table(panel, planning.warnings),
        "advice_errors": error_rates.table(planning.errors),
        "next": next_measurement.table(results, planning.following),
        "stability": courses.stability_table(results, planning.stability),
    }


def warning_words(found: EarlyWarning | None) -> tuple[str, ...]:
    """The early warning of one patient in plain words; nothing where no momentary ratings exist."""
    if found is None:
        return ()
    if found.warned is None:
        return (f"Early warning cannot be asked for: {found.reason}.",)
    trends = (
        f"variance: trend {found.tau[0]:+.2f} (such a rise or a stronger one in {100 * found.p_value[0]:.0f} % of patients without any change)",
        f"autocorrelation: trend {found.tau[1]:+.2f} (in {100 * found.p_value[1]:.0f} %)",
    )
    said = (
        "Warning: this patient's momentary ratings fluctuate more, or recover more slowly, than before"
        if found.warned
        else "No warning: momentary ratings fluctuate and recover as before"
    )
    known = (
        f"Such a warning goes to {100 * found.false_alarm_rate:.0f} % of patients in whom nothing changes. In the largest study of people who tapered, "
        "it came before 33 % of recurrences (Smit 2025): its absence says little"
    )
    return (said, *trends, known)
