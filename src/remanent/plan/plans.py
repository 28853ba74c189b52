"""Dose plans and stress tests as data: what is to happen from today on, in words that parse.

A plan is a name and a list of steps; days are days from today. Every step starts from doses as they stand today:

    slow taper:          [{taper: {weeks: 24, shape: linear, from_day: 28, tablets: true, drugs: [sertraline]}}]
    to lithium:          [{stop: {drugs: [sertraline]}}, {dose: {drug: lithium, mg_day: 900}}]
    continuation ECT:    [{ect: {days: [7, 14, 28, 56], placement: RUL}}]
    therapy:             [{psychotherapy: {sessions_week: 1}}]
    stop, bad month:     [{stop: {}}, {stress: {sleep_hours_lost: 2, crp_times: 2, from_day: 14, days: 28}}]

`plan.parse` reads them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remanent._errors import InputError, UsageError
from remanent.study.schema import spellings
from remanent.treatment.drugs import NOT_DRUGS, require
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import DAYS_PER_WEEK, SHAPES, daily_dose, set_dose, stop, taper

HORIZON_DAYS = 364.0
TAPER_WEEKS = 12.0
# A segment this short is one administration, not a dose that stands.
SESSION_DAYS = 2.0
MOST_HOURS_LOST = 12.0
THERAPY = "psychotherapy"


def _within(first: float, last: float, what: str) -> None:
    if not (np.isfinite(first) and np.isfinite(last)):
        raise InputError(f"{what} from day {first} to day {last}", do="Give numbers.")
    if first < 0:
        raise InputError(
            f"{what} from day {first:g}", why="That is before today, day 0 of a plan.", do="Start today or later."
        )
    if last < first:
        raise InputError(f"{what} ends on day {last:g}, before it starts on day {first:g}", do="Give the end after it.")
    if last > HORIZON_DAYS:
        raise InputError(
            f"{what} reaches day {last:g}",
            why=f"Nothing is forecast beyond day {HORIZON_DAYS:g}.",
            do="Start earlier, or plan fewer weeks.",
        )


@dataclass(frozen=True)
class Taper:
    """All drugs, or those named, to zero over `weeks` from `from_day`; see `treatment.taper.taper`."""

    weeks: float = TAPER_WEEKS
    from_day: float = 0.0
    shape: str = "hyperbolic"
    tablets: bool = False
    drugs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.weeks > 0:
            raise InputError(f"a taper over {self.weeks:g} weeks", why="A taper takes time.", do="Use stop.")
        if self.shape not in SHAPES:
            raise InputError(f"the shape {self.shape!r}", do=f"Use {' or '.join(SHAPES)}.")
        _within(self.from_day, self.from_day + DAYS_PER_WEEK * self.weeks, "taper")

    def applied(self, doses: DoseHistory, today: float) -> DoseHistory:
        """The doses with the taper."""
        chosen = self.drugs or None
        return taper(doses, today + self.from_day, self.weeks, self.shape, drugs=chosen, tablets=self.tablets)


@dataclass(frozen=True)
class Stop:
    """All drugs, or those named, at zero from `from_day`."""

    from_day: float = 0.0
    drugs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within(self.from_day, self.from_day, "stop")

    def applied(self, doses: DoseHistory, today: float) -> DoseHistory:
        """The doses with the stop."""
        return stop(doses, today + self.from_day, self.drugs or None)


@dataclass(frozen=True)
class Dose:
    """One drug at one dose from `from_day`, whether it is new or not."""

    drug: str
    mg_day: float
    from_day: float = 0.0

    def __post_init__(self) -> None:
        _within(self.from_day, self.from_day, "dose")
        known = require(self.drug)
        if not 0 <= self.mg_day <= known.maximum_dose.value:
            raise InputError(
                f"{known.name} {self.mg_day:g} {known.maximum_dose.unit}",
                why=f"The labelled maximum is {known.maximum_dose.value:g}.",
                do="Plan a dose from 0 to the maximum.",
            )

    def applied(self, doses: DoseHistory, today: float) -> DoseHistory:
        """The doses with this one set."""
        return set_dose(doses, today + self.from_day, self.drug, self.mg_day)


@dataclass(frozen=True)
class Psychotherapy:
    """Sessions a week from `from_day` until `until_day` (None: to the horizon)."""

    sessions_week: float = 1.0
    from_day: float = 0.0
    until_day: float | None = None

    def __post_init__(self) -> None:
        end = HORIZON_DAYS if self.until_day is None else self.until_day
        _within(self.from_day, end, "psychotherapy")
        Dose(THERAPY, self.sessions_week, self.from_day)

    def applied(self, doses: DoseHistory, today: float) -> DoseHistory:
        """The doses with sessions among them."""
        given = set_dose(doses, today + self.from_day, THERAPY, self.sessions_week)
        return given if self.until_day is None else stop(given, today + self.until_day, [THERAPY])


@dataclass(frozen=True)
class Ect:
    """Continuation sessions on `days`, each worth as much as one session of the patient's index course."""

    days: tuple[float, ...]
    placement: str

    def __post_init__(self) -> None:
        known = spellings("placement").get(self.placement.casefold())
        if known is None:
            raise InputError(f"the placement {self.placement!r}", do="Use RUL, BT, BF or LART.")
        object.__setattr__(self, "placement", known)
        if not self.days:
            raise InputError("no day of a session", do="Give days from today.")
        _within(min(self.days), max(self.days), "ect")


@dataclass(frozen=True)
class Stress:
    """A stress test: sleep lost and CRP multiplied for `days` from `from_day`, on top of how they are today."""

    sleep_hours_lost: float = 0.0
    crp_times: float = 1.0
    from_day: float = 0.0
    days: float = 28.0

    def __post_init__(self) -> None:
        if not abs(self.sleep_hours_lost) <= MOST_HOURS_LOST:
            raise InputError(
                f"{self.sleep_hours_lost:g} hours of sleep lost", do=f"Give at most {MOST_HOURS_LOST:g} hours."
            )
        if not (0 < self.crp_times < np.inf):
            raise InputError(f"CRP times {self.crp_times:g}", why="CRP is positive.", do="Give a factor above 0.")
        if not self.days > 0:
            raise InputError(f"a stress of {self.days:g} days", do="Give a length above 0.")
        _within(self.from_day, self.from_day + self.days, "stress")


DoseStep = Taper | Stop | Dose | Psychotherapy
Step = DoseStep | Ect | Stress
KINDS: Mapping[str, Callable[..., Step]] = {
    "taper": Taper,
    "stop": Stop,
    "dose": Dose,
    "psychotherapy": Psychotherapy,
    "ect": Ect,
    "stress": Stress,
}


@dataclass(frozen=True)
class PlanSpec:
    """A named plan: doses as they stand today, then these steps, in this order."""

    name: str
    steps: tuple[Step, ...] = ()

    @property
    def doses(self) -> tuple[DoseStep, ...]:
        """Steps that change doses."""
        return tuple(s for s in self.steps if not isinstance(s, Ect | Stress))

    @property
    def ect(self) -> tuple[Ect, ...]:
        """Steps that give ECT."""
        return tuple(s for s in self.steps if isinstance(s, Ect))

    @property
    def stress(self) -> tuple[Stress, ...]:
        """Stress tests."""
        return tuple(s for s in self.steps if isinstance(s, Stress))

    def applied(self, doses: DoseHistory, today: float) -> DoseHistory:
        """A patient's doses under this plan.

        Raises
        ------
        InputError
            The plan cannot be carried out in this patient: a drug that was never given, a step too large.
        """
        given = continued(doses, today)
        try:
            for step in self.doses:
                given = step.applied(given, today)
        except (UsageError, InputError) as error:
            raise InputError(error.got, where=f"plan {self.name}", why=error.why, do=error.do) from error
        return given


CONTINUE = PlanSpec("continue")
TAPER = PlanSpec("taper", (Taper(),))
STOP = PlanSpec("stop", (Stop(),))
STANDARD = (CONTINUE, TAPER, STOP)


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


def words(plan: PlanSpec) -> str:
    """What a plan is, in words."""
    return "; ".join(map(_step_words, plan.steps)) or "all doses as they stand today"


def _from(day: float) -> str:
    return "from today" if day == 0 else f"from day {day:g}"


def _which(drugs: Sequence[str]) -> str:
    return ", ".join(drugs) if drugs else "all drugs"


def _step_words(step: Step) -> str:
    match step:
        case Taper():
            equal = "effect" if step.shape == "hyperbolic" else "dose"
            tablets = ", in whole tablets" if step.tablets else ""
            return f"{_which(step.drugs)} to zero in equal steps of {equal} over {step.weeks:g} weeks {_from(step.from_day)}{tablets}"
        case Stop():
            return f"{_which(step.drugs)} at zero {_from(step.from_day)}"
        case Dose():
            return f"{step.drug} {step.mg_day:g} mg/day {_from(step.from_day)}"
        case Psychotherapy():
            until = "" if step.until_day is None else f" until day {step.until_day:g}"
            return f"psychotherapy, {step.sessions_week:g} a week {_from(step.from_day)}{until}"
        case Ect():
            return f"ECT ({step.placement}) on day {', '.join(f'{d:g}' for d in step.days)}"
        case Stress():
            return f"under stress: {_stress_words(step)} for {step.days:g} days {_from(step.from_day)}"


def _stress_words(stress: Stress) -> str:
    sleep = f"{stress.sleep_hours_lost:g} h less sleep" if stress.sleep_hours_lost else ""
    crp = f"CRP times {stress.crp_times:g}" if stress.crp_times != 1 else ""
    return " and ".join(filter(None, (sleep, crp))) or "none"


def withdraws(plan: PlanSpec, doses: DoseHistory, today: float) -> bool:
    """Whether a plan ever lowers the dose of any drug that a patient takes today; psychotherapy is not one."""
    stays, planned = continued(doses, today), plan.applied(doses, today)
    days = today + np.arange(HORIZON_DAYS)
    drugs = {one.name for one in map(require, stays.drug) if one.drug_class not in NOT_DRUGS}
    return any((daily_dose(planned, d, days) < daily_dose(stays, d, days) - 1e-9).any() for d in sorted(drugs))


def needs(plan: PlanSpec) -> tuple[str, ...]:
    """Drug classes that a plan starts, psychotherapy among them."""
    drugs = [s.drug for s in plan.doses if isinstance(s, Dose) and s.mg_day > 0]
    talks = [THERAPY for s in plan.doses if isinstance(s, Psychotherapy) and s.sessions_week > 0]
    return tuple(require(name).drug_class for name in (*drugs, *talks))
