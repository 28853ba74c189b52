"""What to do beside the advice itself, for every patient: early warning."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remanent.dynamics.warning import EarlyWarning
from remanent.stages import early_warning
from remanent.study.panel import Panel


@dataclass(frozen=True)
class Planning:
    """By participant; those about whom nothing can be said are left out."""

    warnings: Mapping[str, EarlyWarning] = field(default_factory=dict)


def plan_ahead(panel: Panel, seed: int) -> Planning:
    """Everything of this room, from the panel."""
    return Planning(warnings=early_warning.early_warnings(panel, seed))


def tables(panel: Panel, planning: Planning) -> dict[str, dict[str, list[Any]]]:
    """Columns of the output tables."""
    return {"warnings": early_warning.table(panel, planning.warnings)}


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
