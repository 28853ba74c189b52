"""What the rivals found, as columns of the output tables."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from remanent.relapse.calibration import calibration, decision_curve
from remanent.relapse.reasons import reasons, strongest
from remanent.relapse.rivals import DAYS
from remanent.relapse.score import Score, as_score, brier, gap, scores
from remanent.stages.rivals import Competitor, Rivalry, Scored
from remanent.study.schema import OUTPUT

Columns = dict[str, list[Any]]
NAMES = ("scores", "calibration", "decision_curve", "rivals", "reasons", "subtypes")
EXPLAINED = ("cox", "boosted")
MOST_REASONS = 5


def rival_tables(found: Rivalry) -> dict[str, Columns]:
    """Columns of every table of NAMES, empty where there is nothing to say."""
    rows: Mapping[str, Iterator[tuple[Any, ...]]] = {
        "scores": _scores(found),
        "calibration": _calibration(found),
        "decision_curve": _decision_curve(found),
        "rivals": _forecasts(found),
        "reasons": _reasons(found),
        "subtypes": _subtypes(found),
    }
    return {name: _columns(name, list(rows[name])) for name in NAMES}


def remove(out: Path) -> None:
    """Tables of an earlier comparison: they rest on data that may have changed since."""
    for name in NAMES:
        for old in (out / OUTPUT[name].path, (out / OUTPUT[name].path).with_suffix(".json")):
            old.unlink(missing_ok=True)


def _columns(name: str, rows: list[tuple[Any, ...]]) -> Columns:
    names = list(OUTPUT[name].column)
    return {column: [row[k] for row in rows] for k, column in enumerate(names)}


def _pairs(found: Rivalry) -> Iterator[tuple[Scored, Competitor, np.ndarray]]:
    """Each horizon with each competitor that ran, and its forecasts by every day up to that horizon, [row, day]."""
    for at in found.scored:
        upto = int(np.searchsorted(DAYS, at.horizon_days)) + 1
        for one in found.competitors:
            if one.ran:
                yield at, one, one.risk[at.rows][:, :upto]


def measured(at: Scored, risk: np.ndarray, reference: np.ndarray | None) -> dict[str, Score]:
    """Every metric of one model at one horizon; `reference` is Kaplan-Meier's forecast by the horizon."""
    days, last = DAYS[: risk.shape[1]], risk[:, -1]
    status = gap(at.known, at.horizon_days)
    shape = calibration(at.known, last, at.horizon_days, at.weight)
    gained = np.full(len(at.weight), np.nan)
    if reference is not None and status == "estimated":
        gained = brier(at.known, reference, at.horizon_days, at.weight) - brier(
            at.known, last, at.horizon_days, at.weight
        )
    return {
        **scores(at.known, risk, days, at.weight),
        "brier_gain": as_score(gained, status),
        "calibration_in_the_large": shape.in_the_large,
        "calibration_slope": shape.slope,
    }


def _scores(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    reference = {at.horizon_days: risk[:, -1] for at, one, risk in _pairs(found) if one.model == "kaplan_meier"}
    for at, one, risk in _pairs(found):
        people = len(np.unique(at.known.patient))
        relapsed = at.known.event & (at.known.time_days <= at.horizon_days)
        counts = (people, len(np.unique(at.known.patient[relapsed])))
        for metric, s in measured(at, risk, reference.get(at.horizon_days)).items():
            yield (
                one.model,
                one.imaging,
                at.horizon_days,
                metric,
                s.value,
                s.lower,
                s.upper,
                *counts,
                s.status,
                one.note,
            )
    for at in found.scored:
        for one in (c for c in found.competitors if not c.ran):
            yield (one.model, one.imaging, at.horizon_days, "brier", np.nan, np.nan, np.nan, 0, 0, "not_run", one.note)


def _calibration(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    for at, one, risk in _pairs(found):
        groups = calibration(at.known, risk[:, -1], at.horizon_days, at.weight).groups
        for k, g in enumerate(groups, start=1):
            s = g.observed
            yield (one.model, one.imaging, at.horizon_days, k, g.rows, g.predicted, s.value, s.lower, s.upper, s.status)


def _decision_curve(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    told = set()
    for at, one, risk in _pairs(found):
        for b in decision_curve(at.known, risk[:, -1], at.horizon_days, at.weight):
            named = [(one.model, one.imaging, b.model)]
            if (at.horizon_days, b.threshold) not in told:
                told.add((at.horizon_days, b.threshold))
                named.append(("everyone", "without", b.everyone))
            for model, imaging, s in named:
                yield (model, imaging, at.horizon_days, b.threshold, s.value, s.lower, s.upper, s.status)


def _forecasts(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    rows = found.rows
    if rows is None:
        return
    for at, one, risk in _pairs(found):
        for k, row in enumerate(at.rows):
            who = found.patients[rows.patient[row]]
            yield (who, rows.day[row], at.horizon_days, one.model, one.imaging, float(risk[k, -1]))


def _reasons(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    """Of each patient's last landmark, by the model that had not seen the patient, with scans where there are any."""
    rows, told = found.rows, set()
    for one in found.competitors:
        if rows is None or one.learned is None or one.model not in EXPLAINED or one.model in told:
            continue
        told.add(one.model)
        used = rows if one.imaging == "with" else rows.without_circuits()
        latest = rows.day == np.array([rows.day[rows.patient == p].max() for p in rows.patient])
        for fold, fitted in zip(found.outer, one.learned.fitted, strict=True):
            here = np.flatnonzero(fold.test & latest)
            why = reasons(fitted, used.only(here), used.only(~fold.test), found.scored[-1].horizon_days, found.seed)
            if why is None:
                continue
            for k, row in enumerate(here):
                for rank, (name, value, share) in enumerate(strongest(why, k, MOST_REASONS), start=1):
                    who = found.patients[rows.patient[row]]
                    yield (who, rows.day[row], one.model, rank, name, value, share, why.scale)


def _subtypes(found: Rivalry) -> Iterator[tuple[Any, ...]]:
    kinds = found.subtypes
    if kinds is None:
        return
    answer = (kinds.finding, kinds.count, kinds.p_value, kinds.stability)
    yield ("cohort", None, *answer)
    for who, label in zip(found.subtyped, kinds.label.tolist(), strict=True):
        yield (who, label + 1 if label >= 0 else None, *answer)
