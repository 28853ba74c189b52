"""Forecasts of every rival for patients it has not seen: nested cross-validation, grouped by patient, and by site where there are three or more.

The outer folds give the forecasts that are scored; the settings of a rival are chosen by the same scheme inside the training part of each fold. Whatever is
learnt from values (site effects, medians, scales) is learnt by the rival from the rows it is given (`prepare`), so a held-out patient reaches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from remanent.relapse.landmark import Landmarks
from remanent.relapse.rivals import DAYS, RIVALS, Forecaster, Rival, Setting
from remanent.relapse.score import gap, integrated_brier

OUTER, INNER = 5, 3
LEAST_SITES = 3
MOST_SITES = 10
TUNED_TO_DAYS = 182.0


@dataclass(frozen=True)
class Fold:
    """Test rows of one fold are True; `words` says what they have in common."""

    test: Bool[np.ndarray, " row"]
    words: str


@dataclass(frozen=True)
class Learned:
    """Out-of-fold forecasts of one rival.

    Attributes
    ----------
    risk
        Probability of relapse by each of DAYS, [row, day]; NaN where the rival was not run.
    chosen, fitted
        Setting taken in each outer fold, and the model fitted without it.
    missing
        Why it was not run; empty where it was.
    """

    rival: Rival
    risk: Float[np.ndarray, "row day"]
    chosen: tuple[Setting, ...]
    fitted: tuple[Forecaster, ...] = ()
    missing: str = ""


def folds(rows: Landmarks, count: int, rng: np.random.Generator) -> tuple[Fold, ...]:
    """Sites held out one at a time (in at most ten groups) where there are three or more; else `count` groups of patients, alike in relapses."""
    if len(set(rows.site.tolist())) >= LEAST_SITES and all(rows.site.tolist()):
        names = rng.permutation(sorted(set(rows.site.tolist())))
        groups = [names[k :: min(len(names), MOST_SITES)] for k in range(min(len(names), MOST_SITES))]
        return tuple(Fold(np.isin(rows.site.astype(str), g), f"site {', '.join(map(str, g))}") for g in groups)
    people = np.unique(rows.patient)
    relapsed = np.array([rows.event[rows.patient == p].any() for p in people], bool)
    order = np.concatenate([rng.permutation(people[relapsed]), rng.permutation(people[~relapsed])])
    groups = [order[k::count] for k in range(min(count, len(people)))]
    return tuple(Fold(np.isin(rows.patient, g), f"{len(g)} patients") for g in groups)


def out_of_fold(rival: Rival, rows: Landmarks, outer: Sequence[Fold], seed: int) -> Learned:
    """Forecast of every row by a rival that was tuned and fitted without its fold."""
    risk = np.full((len(rows), len(DAYS)), np.nan)
    if not rival.installed:
        return Learned(rival, risk, (), (), f'not installed: pip install "remanent[{rival.extra}]"')
    chosen, fitted = [], []
    for k, fold in enumerate(outer):
        model, setting = tuned(rival, rows.only(~fold.test), seed + k)
        risk[fold.test] = model.risk(rows.only(fold.test))
        chosen.append(setting)
        fitted.append(model)
    return Learned(rival, risk, tuple(chosen), tuple(fitted))


def tuned(rival: Rival, train: Landmarks, seed: int) -> tuple[Forecaster, Setting]:
    """The rival fitted to all training rows under the setting with the least error in an inner cross-validation."""
    setting = rival.settings[0] if len(rival.settings) == 1 else _best(rival, train, seed)
    return rival.fit(train, setting, seed), setting


def _best(rival: Rival, train: Landmarks, seed: int) -> Setting:
    inner, days = folds(train, INNER, np.random.default_rng(seed)), _estimable(train)
    if len(inner) < 2 or len(days) < 2:
        return rival.settings[0]
    once = np.ones((1, len(train)))
    error = []
    for setting in rival.settings:
        risk = np.empty((len(train), len(DAYS)))
        for fold in inner:
            risk[fold.test] = rival.fit(train.only(~fold.test), setting, seed).risk(train.only(fold.test))
        error.append(integrated_brier(train.outcome, risk[:, days], DAYS[days], once)[0])
    return rival.settings[int(np.argmin(error))]


def _estimable(train: Landmarks) -> np.ndarray:
    """Which of DAYS errors are averaged over: up to the last by which relapse can be scored in every landmark, and to TUNED_TO_DAYS at most."""
    days = np.flatnonzero(DAYS <= TUNED_TO_DAYS)
    while len(days) and gap(train.outcome, float(DAYS[days[-1]])) != "estimated":
        days = days[:-1]
    return days


def compete(rows: Landmarks, outer: Sequence[Fold], seed: int, rivals: Sequence[Rival] = RIVALS) -> dict[str, Learned]:
    """Every rival with all features, and again as `<name>/without` without what scans showed where that differs."""
    found = {}
    bare = rows.without_circuits()
    for rival in rivals:
        found[f"{rival.name}/with"] = out_of_fold(rival, rows, outer, seed)
        if rival.uses_circuits and rows.circuit.any():
            found[f"{rival.name}/without"] = out_of_fold(rival, bare, outer, seed)
    return found
