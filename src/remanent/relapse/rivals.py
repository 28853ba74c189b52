"""The rivals: ways to forecast relapse from landmark features, behind one interface. Nothing here knows a test row.

A `Rival` turns training rows and one of its settings into a `Forecaster`, which gives each row its probability of relapse by each of DAYS.
Settings are ordered from the most cautious to the most flexible; the first is taken where tuning has too few relapses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from remanent.relapse.cox import L1_SHARE, CoxFit, fit_cox, largest_penalty
from remanent.relapse.landmark import EXPOSURE, SEVERITY, Landmarks
from remanent.relapse.predict import EDGES_DAYS
from remanent.relapse.prepare import Preparation, learn_preparation
from remanent.relapse.score import kaplan_meier
from remanent.treatment.sourced import least_exposure

DAYS = EDGES_DAYS[1:]
BIN_DAYS = 28.0
TREES = 200
_BINS = int(np.ceil(DAYS[-1] / BIN_DAYS))
Setting = Mapping[str, Any]
Risk = Float[np.ndarray, "row day"]


@runtime_checkable
class Forecaster(Protocol):
    """A fitted rival."""

    def risk(self, rows: Landmarks) -> Risk:
        """Probability of relapse by each of DAYS after the landmark."""


@dataclass(frozen=True)
class Rival:
    """One way to forecast.

    Attributes
    ----------
    needs
        Package that must be installed; empty: none.
    extra
        The optional dependency group of this program that installs it.
    words
        What it is, in words.
    """

    name: str
    words: str
    settings: tuple[Setting, ...]
    fit: Callable[[Landmarks, Setting, int], Forecaster]
    needs: str = ""
    extra: str = ""
    uses_circuits: bool = True

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return not self.needs or find_spec(self.needs) is not None


@dataclass(frozen=True)
class ByArm:
    """Kaplan-Meier of patients on a drug at the landmark, and of those on none; [arm, day], arm 1 on a drug."""

    curve: Float[np.ndarray, "arm day"]

    def risk(self, rows: Landmarks) -> Risk:
        """See `Forecaster`."""
        return 1 - self.curve[_on_drug(rows).astype(int)]


def _on_drug(rows: Landmarks) -> np.ndarray:
    return rows.column(EXPOSURE) > least_exposure() if EXPOSURE in rows.names else np.zeros(len(rows), bool)


def _fit_by_arm(train: Landmarks, _: Setting, __: int) -> ByArm:
    on = _on_drug(train)
    groups = [np.flatnonzero(on == arm) for arm in (False, True)]
    used = [rows if len(rows) else np.arange(len(train)) for rows in groups]
    return ByArm(np.concatenate([kaplan_meier(train.time_days[r], train.event[r]).at(DAYS) for r in used]))


@dataclass(frozen=True)
class Proportional:
    """A Cox model on prepared features; `columns` are those it uses."""

    preparation: Preparation
    columns: np.ndarray
    model: CoxFit

    def risk(self, rows: Landmarks) -> Risk:
        """See `Forecaster`."""
        return 1 - self.model.survival(self.preparation.of(rows)[:, self.columns], DAYS)

    def contributions(self, rows: Landmarks) -> Float[np.ndarray, "row prepared"]:
        """Log hazard of each feature against the mean of the training rows: the Shapley values of a linear model, exactly."""
        out = np.zeros((len(rows), len(self.preparation.names)))
        out[:, self.columns] = self.preparation.of(rows)[:, self.columns] * self.model.beta
        return out


def _fit_last_score(train: Landmarks, _: Setting, __: int) -> Proportional:
    preparation = learn_preparation(train)
    columns = np.array([k for k, n in enumerate(preparation.names) if n == SEVERITY], int)
    model = fit_cox(preparation.of(train)[:, columns], train.time_days, train.event, 1e-4, 0.0)
    return Proportional(preparation, columns, model)


def _fit_elastic_net(train: Landmarks, setting: Setting, _: int) -> Proportional:
    preparation = learn_preparation(train)
    x = preparation.of(train)
    top = largest_penalty(x, train.time_days, train.event)
    beta = np.zeros(x.shape[1])
    for share in np.geomspace(1.0, setting["penalty"], 4):
        model = fit_cox(x, train.time_days, train.event, float(share) * top + 1e-9, L1_SHARE, beta)
        beta = model.beta
    return Proportional(preparation, np.arange(x.shape[1]), model)


@dataclass(frozen=True)
class Boosted:
    """Hazard of each four weeks after the landmark from boosted trees (a classifier of person-periods)."""

    preparation: Preparation
    model: Any

    def risk(self, rows: Landmarks) -> Risk:
        """See `Forecaster`."""
        return self.of_prepared(self.preparation.of(rows))

    def of_prepared(self, x: np.ndarray) -> Risk:
        """Risk of rows that are prepared already."""
        periods = np.concatenate([np.repeat(x, _BINS, 0), np.tile(np.arange(_BINS), len(x))[:, None]], axis=1)
        hazard = self.model.predict_proba(periods)[:, 1].reshape(len(x), _BINS) if len(x) else np.zeros((0, _BINS))
        log_survival = np.cumsum(np.log1p(-np.clip(hazard, 0, 1 - 1e-9)), axis=1)
        ends = BIN_DAYS * np.arange(_BINS + 1)
        whole = np.concatenate([np.zeros((len(x), 1)), log_survival], axis=1)
        at = np.minimum((DAYS / BIN_DAYS).astype(int), _BINS - 1)
        within = (DAYS - ends[at]) / BIN_DAYS
        return 1 - np.exp(whole[:, at] + within * (whole[:, at + 1] - whole[:, at]))


def _fit_boosted(train: Landmarks, setting: Setting, seed: int) -> Boosted:
    from sklearn.ensemble import HistGradientBoostingClassifier

    preparation = learn_preparation(train)
    x, y, weight = person_periods(preparation.of(train), train.time_days, train.event)
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
        **setting,
    )
    if not y.any():
        return Boosted(preparation, _Never())
    return Boosted(preparation, model.fit(x, y, weight))


class _Never:
    """Nobody relapsed: no hazard."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.tile([1.0, 0.0], (len(x), 1))


def person_periods(x: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A row for every four weeks at risk: features with the period's number, whether relapse came in it, and the share of it that was watched."""
    seen = np.minimum(time, BIN_DAYS * _BINS)
    inside = event & (time <= BIN_DAYS * _BINS)
    count = np.maximum(np.ceil(seen / BIN_DAYS - 1e-9), 1).astype(int)
    row = np.repeat(np.arange(len(time)), count)
    period = np.concatenate([np.arange(n) for n in count]) if len(count) else np.empty(0)
    last = period == count[row] - 1
    relapse = last & inside[row]
    watched = np.where(relapse, 1.0, np.clip(seen[row] / BIN_DAYS - period, 0.0, 1.0))
    return np.concatenate([x[row], period[:, None]], axis=1), relapse, np.maximum(watched, 1e-3)


@dataclass(frozen=True)
class Forest:
    """A random survival forest."""

    preparation: Preparation
    model: Any

    def risk(self, rows: Landmarks) -> Risk:
        """See `Forecaster`."""
        if self.model is None:
            return np.zeros((len(rows), len(DAYS)))
        survival = self.model.predict_survival_function(self.preparation.of(rows), return_array=True)
        steps = np.concatenate([np.ones((len(rows), 1)), survival], axis=1)
        return 1 - steps[:, np.searchsorted(self.model.unique_times_, DAYS, side="right")]


def _fit_forest(train: Landmarks, setting: Setting, seed: int) -> Forest:
    from sksurv.ensemble import RandomSurvivalForest

    preparation = learn_preparation(train)
    if not train.event.any():
        return Forest(preparation, None)
    truth = np.array(list(zip(train.event, train.time_days, strict=True)), dtype=[("event", "?"), ("time", "<f8")])
    model = RandomSurvivalForest(n_estimators=TREES, max_features="sqrt", random_state=seed, **setting)
    return Forest(preparation, model.fit(preparation.of(train), truth))


RIVALS: tuple[Rival, ...] = (
    Rival(
        "kaplan_meier",
        "Kaplan-Meier of patients on a drug and of those on none",
        ({},),
        _fit_by_arm,
        uses_circuits=False,
    ),
    Rival(
        "last_score",
        "the last severity score alone, in a proportional-hazards model",
        ({},),
        _fit_last_score,
        uses_circuits=False,
    ),
    Rival(
        "cox",
        "proportional hazards with an elastic net on all features",
        tuple({"penalty": p} for p in (1.0, 0.5, 0.25, 0.12, 0.06)),
        _fit_elastic_net,
    ),
    Rival(
        "boosted",
        "gradient-boosted trees of the hazard in four-week periods",
        tuple({"max_iter": n, "max_leaf_nodes": leaves} for n, leaves in ((15, 3), (50, 3), (50, 6), (150, 6))),
        _fit_boosted,
        needs="sklearn",
        extra="rivals",
    ),
    Rival(
        "forest",
        "random survival forest",
        tuple({"min_samples_leaf": n} for n in (30, 10, 4)),
        _fit_forest,
        needs="sksurv",
        extra="forest",
    ),
)
