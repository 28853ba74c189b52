r"""Do forecasts of relapse mean what they say, and would acting on them help? Under censoring, by inverse probability of censoring and Kaplan-Meier.

* in the large: observed less mean predicted risk; observed is :math:`\frac1n\sum w^{case}`, which is 1 - Kaplan-Meier (weights: `score`)
* slope: of logit p in a logistic regression of relapse by day t, cases and controls weighed by inverse probability of censoring (ideal: 1)
* curve: weighed share of cases in groups of equal size by forecast; where it is 0 or 1 no resample differs, and the interval ends at the exact limit of a
  share nobody (everybody) of n shows, :math:`1 - 0.05^{1/n}` from that end (the rule of three), n as many patients as the weights are worth (Kish)
* net benefit at threshold q: :math:`P(p \ge q)[F_q(t) - (1 - F_q(t))\,q/(1-q)]`, F the Kaplan-Meier risk among those at or above q
  (Vickers 2008, doi:10.1186/1472-6947-8-53), beside treating everyone and treating no one (0)
"""

from dataclasses import dataclass

import numpy as np

from remanent.relapse.score import (
    INTERVAL,
    Draws,
    Outcome,
    Rows,
    Score,
    Status,
    Weights,
    as_score,
    gap,
    kaplan_meier,
    status_weights,
)

THRESHOLDS = tuple(np.round(np.arange(0.05, 0.85, 0.05), 2).tolist())
GROUPS = 5
_LEAST_RISK = 1e-6
_STEPS = 50
_TAIL = (100 - INTERVAL[1]) / 100
_STEEPEST = 50.0  # a logistic slope beyond it means that cases and controls are apart: there is none


@dataclass(frozen=True)
class Group:
    """Forecasts of similar size: their number, their mean, and the share that relapsed."""

    rows: int
    predicted: float
    observed: Score


@dataclass(frozen=True)
class Calibration:
    """`in_the_large`: observed less predicted; `slope`: 1 is ideal, below 1 the forecasts are too extreme."""

    in_the_large: Score
    slope: Score
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Benefit:
    """Net benefit at one threshold, of acting on the forecasts and of treating everyone as at risk (relapses found per patient, net of false alarms)."""

    threshold: float
    model: Score
    everyone: Score


def calibration(known: Outcome, risk: Rows, day: float, weight: Weights) -> Calibration:
    """Calibration of the forecast of relapse by `day`."""
    status = gap(known, day)
    if status != "estimated":
        none = Score(np.nan, np.nan, np.nan, status)
        return Calibration(none, none, ())
    case, control = status_weights(known, weight, day)
    apart = (case.sum(1) - weight @ risk) / weight.sum(1)
    varied: Status = "estimated" if np.ptp(risk) > 1e-9 else "one_prediction"
    slope = _slope(risk, case, control) if varied == "estimated" else np.full(len(weight), np.nan)
    return Calibration(as_score(apart), as_score(slope, varied), _groups(known, risk, case, control))


def _groups(known: Outcome, risk: np.ndarray, case: np.ndarray, control: np.ndarray) -> tuple[Group, ...]:
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, GROUPS + 1)[1:-1]))
    member = np.searchsorted(edges, risk, side="right")
    out = []
    for one in np.unique(member):
        rows = member == one
        cases, controls = case[:, rows].sum(1), control[:, rows].sum(1)
        share = np.divide(cases, cases + controls, out=np.full(len(cases), np.nan), where=cases + controls > 0)
        observed = as_score(share, undefined="nobody_followed")
        if min(cases[0], controls[0]) < 1e-12 < max(cases[0], controls[0]):
            observed = _at_an_end(bool(cases[0] > controls[0]), known.patient[rows], (case + control)[0, rows])
        out.append(Group(int(rows.sum()), float(risk[rows].mean()), observed))
    return tuple(out)


def _at_an_end(everybody: bool, patient: np.ndarray, weight: np.ndarray) -> Score:
    """Share and interval where nobody relapsed, or everybody; forecasts of one patient count as one."""
    each = np.bincount(np.unique(patient, return_inverse=True)[1], weight)
    limit = _TAIL ** ((each**2).sum() / each.sum() ** 2)
    return Score(1.0, limit, 1.0, "estimated") if everybody else Score(0.0, 0.0, 1 - limit, "estimated")


def _slope(risk: np.ndarray, case: np.ndarray, control: np.ndarray) -> Draws:
    """Newton's method for all draws at once; NaN where the maximum does not exist, [draw]."""
    x = np.log(np.clip(risk, _LEAST_RISK, 1 - _LEAST_RISK))
    x = x - np.log1p(-np.clip(risk, _LEAST_RISK, 1 - _LEAST_RISK))
    total = case + control
    beta = np.tile([0.0, 1.0], (len(case), 1))
    design = np.stack([np.ones_like(x), x])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(beta @ design, -500, 500)))
        gradient = (case - total * fitted) @ design.T
        curve = np.einsum("br,ir,jr->bij", total * fitted * (1 - fitted), design, design)
        step = np.linalg.solve(curve + 1e-10 * np.eye(2), gradient[..., None])[..., 0]
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    settled = (np.abs(step).max(1) < 1e-6) & (np.abs(beta[:, 1]) < _STEEPEST)
    return np.where(settled, beta[:, 1], np.nan)


def decision_curve(
    known: Outcome, risk: Rows, day: float, weight: Weights, thresholds: tuple[float, ...] = THRESHOLDS
) -> tuple[Benefit, ...]:
    """Net benefit of acting at each threshold on the forecast of relapse by `day`."""
    status = gap(known, day)
    if status != "estimated":
        none = Score(np.nan, np.nan, np.nan, status)
        return tuple(Benefit(q, none, none) for q in thresholds)
    everyone = np.ones(len(known), bool)
    return tuple(
        Benefit(
            q,
            as_score(net_benefit(known, risk >= q, day, q, weight)),
            as_score(net_benefit(known, everyone, day, q, weight)),
        )
        for q in thresholds
    )


def net_benefit(known: Outcome, flagged: np.ndarray, day: float, threshold: float, weight: Weights) -> Draws:
    """Net benefit of acting on `flagged`, [draw]; where the last of them is censored before `day`, the curve is carried forward."""
    found = np.zeros(len(weight))
    for one in np.unique(known.stratum):
        rows = flagged & (known.stratum == one)
        if rows.any():
            w = weight[:, rows]
            relapse = 1 - kaplan_meier(known.time_days[rows], known.event[rows], w).at(np.full(1, day))[:, 0]
            found += w.sum(1) * (relapse - (1 - relapse) * threshold / (1 - threshold))
    return found / weight.sum(1)
