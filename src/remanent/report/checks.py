"""How far a cohort's numbers can be trusted, as plain values: calibration of forecasts, and sites before and after harmonisation."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Forecasts of similar size: their number, their mean, and the share that relapsed with its 90 % interval (NaN: cannot be estimated)."""

    forecasts: int
    predicted: float
    observed: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Forecasts of relapse within a horizon against what happened.

    Attributes
    ----------
    patients, relapsed
        Patients with a forecast; those among them who relapsed within the horizon of one.
    forecasts, predicted
        Forecasts (a patient has one at each landmark) and their mean.
    in_the_large, slope
        Observed less predicted, and the logistic slope (1 is ideal), each (value, lower, upper) with NaN where there is none.
    """

    horizon_days: float
    patients: int
    relapsed: int
    forecasts: int
    predicted: float
    groups: tuple[CalibrationGroup, ...]
    in_the_large: tuple[float, float, float]
    slope: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves at each horizon that can be assessed; `unsaid`: why there is none, `note`: why a horizon is left out."""

    curves: tuple[CalibrationCurve, ...] = ()
    unsaid: str = "This run did not assess it."
    note: str = ""


@dataclass(frozen=True, slots=True)
class SiteMeasure:
    """One measure by site: its values (one per scan) before and after harmonisation, in its own unit, and how far site means lie apart in within-site SD."""

    label: str
    unit: str
    sites: tuple[str, ...]
    before: tuple[np.ndarray, ...]
    after: tuple[np.ndarray, ...]
    apart_before: float
    apart_after: float


@dataclass(frozen=True, slots=True)
class Sites:
    """The measures whose sites differed most, of `count` that were harmonised; `unsaid`: why none was; `learnt_from`: whose scans the effects come from."""

    measures: tuple[SiteMeasure, ...] = field(default_factory=tuple)
    count: int = 0
    learnt_from: str = ""
    unsaid: str = "This run did not assess it."
