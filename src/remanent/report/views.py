"""What a page shows: plain arrays, strings and numbers, filled by `remanent.stages` from the record.

Every field may be left out: a page says what is missing. Days are days since `Timeline.origin` (day 0); probabilities are 0 to 1; intervals are 90 %.
A result is shown as a finding only where its `Basis` says that data of this study speak; the default is that nothing does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from remanent._errors import Problem
from remanent.report.checks import Calibration, Sites

AdviceCode = Literal["act", "treat_first", "taper", "hold", "not_enough_data", "healthy"]
Days = Float[np.ndarray, " obs"]


def _empty() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a result rests on.

    Attributes
    ----------
    rests_on
        ``data``: shown as a finding. ``prior``: the data left the model's starting assumptions where they were; the page says so and shows no number.
        ``nothing``: there is no result.
    reason
        In plain words: what the result rests on, or why it cannot be given.
    """

    rests_on: Literal["data", "prior", "nothing"] = "nothing"
    reason: str = ""

    @property
    def informed(self) -> bool:
        """Whether the result may be shown as a finding."""
        return self.rests_on == "data"


@dataclass(frozen=True, slots=True)
class Interval:
    """A posterior mean and its 90 % interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class EctSession:
    """One ECT session; `placement` as in ect.tsv (RUL, BT, BF, LART)."""

    day: float
    placement: str = ""


@dataclass(frozen=True, slots=True)
class Dose:
    """One drug at one dose, from `start_day` (-inf: before the first record) to `stop_day` (inf: ongoing)."""

    drug: str
    drug_class: str
    dose_mg_day: float
    start_day: float
    stop_day: float


@dataclass(frozen=True, slots=True, eq=False)
class ExposureCurve:
    """Exposure to one drug class over time: 0 = none, 1 = usual full dose."""

    drug_class: str
    days: Days
    exposure: Float[np.ndarray, " obs"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A clinical level drawn into a series, e.g. remission on a scale; `source` and `status` (published, derived, assumed) are shown with it."""

    label: str
    value: float
    source: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One thing measured repeatedly: an instrument's total, a lab analyte, a sleep measure.

    Attributes
    ----------
    name, label, unit
        Name in the tables, label for people, unit (``points``, ``mg/L``, ``h``); unit is never empty.
    minimum, maximum
        Range of the scale, NaN where open.
    direction
        ``higher_is_worse``, ``higher_is_better`` or empty.
    """

    name: str
    label: str
    unit: str
    days: Days
    values: Float[np.ndarray, " obs"]
    minimum: float = np.nan
    maximum: float = np.nan
    direction: str = ""
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: relapse, dropout, hospitalised, death, end_of_followup, or the study's own word."""

    day: float
    event: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan visit; `quality` in words (``12.4 usable min``), `reason` why it is not or only partly usable."""

    day: float
    session_id: str
    usable: bool
    quality: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What was done and what was observed, in time.

    Attributes
    ----------
    today
        The patient's last record (day): where forecasts start; NaN where there is none.
    origin
        What day 0 is, in words.
    relapse_rule
        The study's definition of relapse, in words.
    """

    today: float = np.nan
    origin: str = "the last ECT session of the index course"
    ect: tuple[EctSession, ...] = ()
    doses: tuple[Dose, ...] = ()
    exposure: tuple[ExposureCurve, ...] = ()
    symptoms: tuple[Series, ...] = ()
    labs: tuple[Series, ...] = ()
    sleep: tuple[Series, ...] = ()
    events: tuple[Event, ...] = ()
    scans: tuple[Scan, ...] = ()
    relapse_rule: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Function and structure over time: 0 = this patient's level before treatment, 1 = the cohort's mean functional gain right after ECT.

    `withdrawal_mean` is on the scale of symptoms (higher: more), transient and not relapse. An array left out becomes missing (NaN) on every day.
    """

    days: Days = field(default_factory=_empty)
    function_mean: Float[np.ndarray, " obs"] = field(default_factory=_empty)
    function_sd: Float[np.ndarray, " obs"] = field(default_factory=_empty)
    structure_mean: Float[np.ndarray, " obs"] = field(default_factory=_empty)
    structure_sd: Float[np.ndarray, " obs"] = field(default_factory=_empty)
    withdrawal_mean: Float[np.ndarray, " obs"] = field(default_factory=_empty)
    basis: Basis = Basis()

    def __post_init__(self) -> None:
        for name in ("function_mean", "function_sd", "structure_mean", "structure_sd", "withdrawal_mean"):
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.full(self.days.size, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Indicator:
    """One feature as observed, with its standard error, against what the fitted model expects.

    `informs` names the state it loads on (``function``, ``structure``, ``both``, ``ECT trace``). `usable` marks the values the model saw.
    """

    feature: str
    label: str
    unit: str
    days: Days
    observed: Float[np.ndarray, " obs"]
    se: Float[np.ndarray, " obs"]
    fitted: Float[np.ndarray, " obs"]
    fitted_sd: Float[np.ndarray, " obs"]
    usable: Bool[np.ndarray, " obs"]
    informs: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Remanence:
    """What remains `horizon_days` after all drugs are withdrawn today: of the function (fraction), and as the probability of no relapse (hold)."""

    horizon_days: tuple[float, ...] = ()
    remanence: tuple[Interval, ...] = ()
    hold: tuple[Interval, ...] = ()
    basis: Basis = Basis()


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Probability of relapse within `horizon_days` from today under one plan; `label` and `doses` say in words what the plan is."""

    plan: str
    label: str
    horizon_days: Float[np.ndarray, " step"]
    mean: Float[np.ndarray, " step"]
    lower: Float[np.ndarray, " step"]
    upper: Float[np.ndarray, " step"]
    doses: str = ""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One forecast per plan, all from the same day."""

    plans: tuple[Forecast, ...] = ()
    basis: Basis = Basis()


@dataclass(frozen=True, slots=True)
class Question:
    """One yes-no question about how the medication acts: probability of yes beside its prior, None where the data cannot tell; whose data answer."""

    words: str
    probability: float | None
    prior: float
    answered_by: str = ""


@dataclass(frozen=True, slots=True)
class PredictiveScore:
    """How well a mechanism predicts patients it has not seen (nats), against the best mechanism; `note` says whether to rely on it."""

    mechanism: str
    score: float
    difference: float
    difference_se: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """Probability of each mechanism beside its prior, in the same order as `names` (natural, passive, active, dual).

    `identifiable` is true where the data can tell all of them apart; `questions` hold what can be told where they cannot. `scores` are the cohort's.
    """

    names: tuple[str, ...] = ()
    probability: tuple[float, ...] = ()
    prior: tuple[float, ...] = ()
    identifiable: bool = False
    reason: str = ""
    questions: tuple[Question, ...] = ()
    scores: tuple[PredictiveScore, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """What is advised, why, and what stands in the way. `healthy`: no patient, nothing is advised.

    `error_rates`: how often such advice is wrong, and the source. `measure_next`: what would help most. `classes`: which class of drug the study favours.
    """

    code: AdviceCode = "not_enough_data"
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    measure_next: tuple[str, ...] = ()
    error_rates: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModalityGain:
    """What one kind of data added to this patient's forecast: the shift in bits, and in words."""

    modality: str
    shift_bits: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class FitStatus:
    """Whether the cohort fit converged (None: there was none), and what to make of it, in words."""

    converged: bool | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How to make this page again: versions of program and libraries, pipelines and their versions, settings, seed, and when it ran, as text."""

    versions: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    snapshot_id: str = ""
    run_at: str = ""


@dataclass(frozen=True, slots=True)
class PatientView:
    """Everything the page of one patient shows.

    `flags` are warnings in words (drift between scanners, versions known to be wrong); `early_warning` what momentary ratings show and
    `stability` what withdrawal under stress would do, in sentences;
    `headline_horizon_days` is the horizon of the numbers at the top; `caution` says where forecasts in this study were too low or too high.
    """

    participant_id: str
    study: str = ""
    advice: Advice = Advice()
    timeline: Timeline = Timeline()
    states: States = field(default_factory=States)
    indicators: tuple[Indicator, ...] = ()
    remanence: Remanence = Remanence()
    forecasts: Forecasts = Forecasts()
    mechanisms: Mechanisms = Mechanisms()
    modalities: tuple[ModalityGain, ...] = ()
    early_warning: tuple[str, ...] = ()
    stability: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    fit: FitStatus = FitStatus()
    provenance: Provenance = field(default_factory=Provenance)
    headline_horizon_days: float = 182.0
    caution: str = ""


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One patient in the cohort list.

    Attributes
    ----------
    reason
        The first reason of the advice, in words.
    counts
        What there is, e.g. ``{"ECT sessions": 12, "symptom visits": 9, "usable scans": 3, "scans": 4, "dose changes": 2}``; same keys in every row.
    visits
        Marks for the follow-up figure: kind (``symptoms``, ``scan``, ``ect``, ``dose change``, ``relapse``, ``dropout``, ...) to days.
    hold
        Probability of no relapse within `CohortView.horizon_days` if all drugs were withdrawn today; None where the data do not inform it.
    relapse
        Plan label to the probability of relapse within that horizon; empty where the data do not inform it.
    unsaid
        What stands in place of a forecast that is not there.
    """

    participant_id: str
    advice: AdviceCode = "not_enough_data"
    reason: str = ""
    today: float = np.nan
    counts: Mapping[str, int] = field(default_factory=dict)
    visits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    hold: Interval | None = None
    relapse: Mapping[str, Interval] = field(default_factory=dict)
    set_aside: int = 0
    flags: tuple[str, ...] = ()
    unsaid: str = "cannot be said"


@dataclass(frozen=True, slots=True)
class CohortView:
    """Everything the index page shows. `problems` are those of the whole study; `flags` concern the cohort."""

    study: str = ""
    rows: tuple[CohortRow, ...] = ()
    mechanisms: Mechanisms = Mechanisms()
    fit: FitStatus = FitStatus()
    problems: tuple[Problem, ...] = ()
    flags: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    horizon_days: float = 182.0
    calibration: Calibration = field(default_factory=Calibration)
    sites: Sites = field(default_factory=Sites)

    @property
    def patients(self) -> tuple[CohortRow, ...]:
        """Those who are not healthy participants."""
        return tuple(row for row in self.rows if row.advice != "healthy")
