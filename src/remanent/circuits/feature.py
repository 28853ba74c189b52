"""The result of measuring a session: named values with their sampling error."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One circuit measure of one session; a row of features.tsv.

    Attributes
    ----------
    name
        Stable lower-case name, e.g. ``fc_default_default``, ``vol_hippocampus``, ``sfc_spearman_default``.
    value, se
        The estimate and its sampling standard error in the same unit; NaN where there is none.
    usable
        False where a rule forbids its use; `value` may still be there to be looked at.
    reason
        Why it is unusable or doubtful; empty otherwise.
    """

    name: str
    value: float
    se: float
    usable: bool
    reason: str = ""


def unavailable(name: str, reason: str) -> Feature:
    """Return a feature that has no value, and why."""
    return Feature(name, math.nan, math.nan, usable=False, reason=reason)
