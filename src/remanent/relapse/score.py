r"""How good forecasts of relapse are when some patients were not watched to the end: discrimination and squared error, with intervals by patient.

Everything is a weighted sum over forecasts, so a bootstrap over patients is one matrix of weights [draw, row] whose first row is ones: the point estimate.
With G(t) = P(censoring after t), by Kaplan-Meier within each stratum, a forecast p of relapse by day t is weighed by inverse probability of censoring:

.. math:: w_i(t) = 1[T_i \le t, \text{relapse}] / G(T_i-) \quad\text{(case)}, \qquad 1[T_i > t] / G(t) \quad\text{(control)}

* Brier: :math:`\frac1n \sum w^{case}(1-p)^2 + w^{control} p^2` (Graf 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5)
* AUC(t): cases by t against controls at t (Uno 2007, doi:10.1198/016214507000000149)
* C: pairs whose order is known; Harrell's counts each once, Uno's weighs by :math:`G(T_i-)^{-2}` (Uno 2011, doi:10.1002/sim.4154)

G is taken just before a relapse: on one day a relapse comes before a censoring, as in Kaplan-Meier. Strata are landmarks: patients are compared with, and
censoring is learnt from, those of the same landmark only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Status = Literal["estimated", "without_interval", "no_relapse", "nobody_followed", "no_pairs", "one_prediction"]
INTERVAL = (5.0, 95.0)
MOST_UNDEFINED = 0.1  # share of resamples without an answer beyond which no interval is given
_BLOCK = 512

Weights = Float[np.ndarray, "draw row"]
Rows = Float[np.ndarray, " row"]
Draws = Float[np.ndarray, " draw"]


@dataclass(frozen=True)
class Outcome:
    """What happened after each forecast, [row].

    Attributes
    ----------
    time_days, event
        Days from the forecast to relapse (event) or to the end of observation.
    patient
        Whose forecast it is: rows of one patient are drawn together.
    stratum
        Landmark of the forecast.
    """

    time_days: Rows
    event: Bool[np.ndarray, " row"]
    patient: Int[np.ndarray, " row"]
    stratum: Int[np.ndarray, " row"]

    def __len__(self) -> int:
        return len(self.time_days)

    def only(self, rows: np.ndarray) -> "Outcome":
        """The rows of a mask or an index array."""
        return Outcome(self.time_days[rows], self.event[rows], self.patient[rows], self.stratum[rows])


def outcome(time_days: Sequence[float] | np.ndarray, event: Sequence[bool] | np.ndarray) -> Outcome:
    """Each row a patient, all of one stratum."""
    time = np.asarray(time_days, float)
    return Outcome(time, np.asarray(event, bool), np.arange(len(time)), np.zeros(len(time), int))


@dataclass(frozen=True)
class Score:
    """An estimate with its 90 % interval over patients; NaN unless `status` is ``estimated`` (or ``without_interval``: the value alone).

    Attributes
    ----------
    status
        ``no_relapse``: nobody relapsed by the horizon; ``nobody_followed``: nobody is known to be well beyond it; ``no_pairs``: no two patients whose order
        is known; ``one_prediction``: all forecasts are alike.
    """

    value: float
    lower: float
    upper: float
    status: Status


@dataclass(frozen=True)
class Curve:
    """A right-continuous step function that is 1 before the first time: `value[draw, k]` from `time[k]` on."""

    time: Float[np.ndarray, " time"]
    value: Float[np.ndarray, "draw time"]

    def at(self, days: np.ndarray) -> Float[np.ndarray, "draw day"]:
        """Values on those days."""
        return self._taken(np.searchsorted(self.time, days, side="right"))

    def before(self, days: np.ndarray) -> Float[np.ndarray, "draw day"]:
        """Left limits on those days."""
        return self._taken(np.searchsorted(self.time, days, side="left"))

    def _taken(self, steps: np.ndarray) -> Float[np.ndarray, "draw day"]:
        return np.concatenate([np.ones((len(self.value), 1)), self.value], axis=1)[:, steps]


def kaplan_meier(time_days: Rows, event: Bool[np.ndarray, " row"], weight: Weights | None = None) -> Curve:
    """Probability of no event, the product-limit estimate (Kaplan and Meier 1958, doi:10.1080/01621459.1958.10501452)."""
    times, at_risk, events, _ = _counts(time_days, event, weight)
    return Curve(times, np.cumprod(1 - _ratio(events, at_risk), axis=1))


def censoring(time_days: Rows, event: Bool[np.ndarray, " row"], weight: Weights | None = None) -> Curve:
    """Probability of not being censored; who has an event on a day is not at risk of being censored on it."""
    times, at_risk, events, censored = _counts(time_days, event, weight)
    return Curve(times, np.cumprod(1 - _ratio(censored, at_risk - events), axis=1))


def _counts(
    time_days: np.ndarray, event: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times, and at each the weight at risk, of events, of censorings, [draw, time]."""
    w = np.ones((1, len(time_days))) if weight is None else weight
    order = np.argsort(time_days, kind="stable")
    times, starts = np.unique(time_days[order], return_index=True)
    if not len(times):
        none = np.empty((len(w), 0))
        return times, none, none, none
    w = w[:, order]
    every, events = (np.add.reduceat(part, starts, axis=1) for part in (w, w * event[order]))
    at_risk = np.cumsum(every[:, ::-1], axis=1)[:, ::-1]
    return times, at_risk, events, every - events


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 1e-12)


def patient_weights(patient: Int[np.ndarray, " row"], draws: int, rng: np.random.Generator) -> Weights:
    """How often each row is drawn, patients being drawn with replacement, [1 + draws, row]; the first row is the data as they are."""
    people, index = np.unique(patient, return_inverse=True)
    counts = rng.multinomial(len(people), np.full(len(people), 1 / max(len(people), 1)), size=draws)
    return np.concatenate([np.ones((1, len(patient))), counts[:, index].astype(float)])


def status_weights(known: Outcome, weight: Weights, day: float) -> tuple[Weights, Weights]:
    """Weights of the cases and of the controls of `day` (module docstring), [draw, row]."""
    case, control = np.zeros_like(weight), np.zeros_like(weight)
    for one in np.unique(known.stratum):
        rows = np.flatnonzero(known.stratum == one)
        time, event, w = known.time_days[rows], known.event[rows], weight[:, rows]
        g = censoring(time, event, w)
        case[:, rows] = _ratio(w * (event & (time <= day)), g.before(time))
        control[:, rows] = _ratio(w * (time > day), g.at(np.full(1, day)))
    return case, control


def gap(known: Outcome, day: float) -> Status:
    """``estimated`` where relapse by `day` can be scored; else what is lacking."""
    if not (known.event & (known.time_days <= day)).any():
        return "no_relapse"
    followed = [(known.time_days[known.stratum == one] > day).any() for one in np.unique(known.stratum)]
    return "estimated" if all(followed) else "nobody_followed"


def brier(known: Outcome, risk: Rows, day: float, weight: Weights) -> Draws:
    """Mean squared error of the probability of relapse by `day`, [draw]."""
    case, control = status_weights(known, weight, day)
    return (case @ (1 - risk) ** 2 + control @ risk**2) / weight.sum(1)


def integrated_brier(
    known: Outcome, risk: Float[np.ndarray, "row day"], days: Float[np.ndarray, " day"], weight: Weights
) -> Draws:
    """Brier score averaged over `days` by the trapezoid rule, [draw]."""
    each = np.stack([brier(known, risk[:, k], float(day), weight) for k, day in enumerate(days)], axis=1)
    return np.trapezoid(each, days, axis=1) / (days[-1] - days[0])


def auc(known: Outcome, risk: Rows, day: float, weight: Weights) -> Draws:
    """Probability that a case of `day` had the higher forecast than a control of its stratum, ties counting half, [draw]."""
    case, control = status_weights(known, weight, day)
    pairs = np.zeros((2, len(weight)))
    for rows in _strata(known):
        none = np.ones((len(rows), len(rows)))
        pairs += _pairs(case[:, rows], control[:, rows], risk[rows], none)
    return _share(pairs)


def harrell_c(known: Outcome, risk: Rows, day: float, weight: Weights) -> Draws:
    """Share of pairs in the right order among those whose first relapse is known and before `day`, ties of the forecast counting half, [draw]."""
    return _concordance(known, risk, weight * (known.event & (known.time_days < day)), weight)


def uno_c(known: Outcome, risk: Rows, day: float, weight: Weights) -> Draws:
    """As `harrell_c`, weighed so that it does not depend on how patients were censored, [draw]."""
    first = weight * (known.event & (known.time_days < day))
    for rows in _strata(known):
        g = censoring(known.time_days[rows], known.event[rows], weight[:, rows]).before(known.time_days[rows])
        first[:, rows] = _ratio(first[:, rows], g**2)
    return _concordance(known, risk, first, weight)


def _strata(known: Outcome) -> list[np.ndarray]:
    return [np.flatnonzero(known.stratum == one) for one in np.unique(known.stratum)]


def _concordance(known: Outcome, risk: np.ndarray, first: np.ndarray, weight: np.ndarray) -> np.ndarray:
    pairs = np.zeros((2, len(weight)))
    for rows in _strata(known):
        time, event = known.time_days[rows], known.event[rows]
        later = (time[:, None] < time[None]) | ((time[:, None] == time[None]) & ~event[None])
        pairs += _pairs(first[:, rows], weight[:, rows], risk[rows], later.astype(float))
    return _share(pairs)


def _pairs(left: np.ndarray, right: np.ndarray, risk: np.ndarray, comparable: np.ndarray) -> np.ndarray:
    """Weight of pairs in the right order, and of all comparable pairs, [2, draw]; in blocks, so that memory stays small."""
    right_order, every = np.zeros(len(left)), np.zeros(len(left))
    for start in range(0, len(risk), _BLOCK):
        block = slice(start, start + _BLOCK)
        higher = (risk[block, None] > risk[None]) + 0.5 * (risk[block, None] == risk[None])
        right_order += (left[:, block] @ (higher * comparable[block]) * right).sum(1)
        every += (left[:, block] @ comparable[block] * right).sum(1)
    return np.stack([right_order, every])


def _share(pairs: np.ndarray) -> np.ndarray:
    return np.divide(pairs[0], pairs[1], out=np.full(pairs.shape[1], np.nan), where=pairs[1] > 1e-12)


def as_score(draws: Draws, status: Status = "estimated", *, undefined: Status = "no_pairs") -> Score:
    """The first draw with the interval of the others; `status` other than ``estimated`` says why there is no value, `undefined` what a NaN means."""
    if status != "estimated" or not np.isfinite(draws[0]):
        return Score(np.nan, np.nan, np.nan, status if status != "estimated" else undefined)
    known = draws[1:][np.isfinite(draws[1:])]
    if len(known) < max(1, (1 - MOST_UNDEFINED) * (len(draws) - 1)):
        return Score(float(draws[0]), np.nan, np.nan, "without_interval")
    lower, upper = np.percentile(known, INTERVAL)
    return Score(float(draws[0]), float(lower), float(upper), "estimated")


METRICS = ("brier", "ibs", "auc", "c_uno", "c_harrell")


def scores(
    known: Outcome, risk: Float[np.ndarray, "row day"], days: Float[np.ndarray, " day"], weight: Weights
) -> dict[str, Score]:
    """Every score of METRICS at the last of `days`; `risk[:, k]` is the forecast of relapse by `days[k]`."""
    lacking, day, last = gap(known, float(days[-1])), float(days[-1]), risk[:, -1]
    if lacking != "estimated":
        return {name: Score(np.nan, np.nan, np.nan, lacking) for name in METRICS}
    found = {
        "brier": brier(known, last, day, weight),
        "ibs": integrated_brier(known, risk, days, weight),
        "auc": auc(known, last, day, weight),
        "c_uno": uno_c(known, last, day, weight),
        "c_harrell": harrell_c(known, last, day, weight),
    }
    return {name: as_score(values) for name, values in found.items()}
