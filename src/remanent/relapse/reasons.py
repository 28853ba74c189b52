r"""Why a forecast is what it is: each feature's share, so that the shares add up to the forecast less the average one.

The linear model has exact shares (`rivals.Proportional.contributions`). For trees, Shapley values by sampling: features are switched one by one, in random
order, from a background patient's values to the patient's own (Strumbelj 2014, doi:10.1007/s10115-013-0679-x); each order is also walked backwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from remanent.relapse.landmark import Landmarks
from remanent.relapse.rivals import DAYS, Boosted, Forecaster, Proportional

ORDERS = 40
_LEAST = 1e-6


@dataclass(frozen=True)
class Reasons:
    """Share of each feature in each row's forecast, [row, feature], and on which scale."""

    names: tuple[str, ...]
    value: Float[np.ndarray, "row feature"]
    share: Float[np.ndarray, "row feature"]
    scale: str


def reasons(fitted: Forecaster, rows: Landmarks, train: Landmarks, day: float, seed: int) -> Reasons | None:
    """Shares in the forecast of relapse by `day`; None for a model that has no features to speak of."""
    if isinstance(fitted, Proportional):
        x = fitted.preparation.of(rows)
        return Reasons(fitted.preparation.names, x, fitted.contributions(rows), "log hazard")
    if not isinstance(fitted, Boosted) or not len(train):
        return None
    column = int(np.searchsorted(DAYS, day))

    def logit(x: np.ndarray) -> np.ndarray:
        p = np.clip(fitted.of_prepared(x)[:, column], _LEAST, 1 - _LEAST)
        return np.log(p / (1 - p))

    x, background = fitted.preparation.of(rows), fitted.preparation.of(train)
    shares = shapley(logit, x, background, np.random.default_rng(seed))
    return Reasons(fitted.preparation.names, x, shares, "log odds")


def shapley(
    f: Callable[[np.ndarray], np.ndarray],
    x: Float[np.ndarray, "row feature"],
    background: Float[np.ndarray, "patient feature"],
    rng: np.random.Generator,
    orders: int = ORDERS,
) -> Float[np.ndarray, "row feature"]:
    """Sampled Shapley values of f at each row; they add up to f(x) less the mean of f over the background rows drawn."""
    features = x.shape[1]
    half = np.stack([rng.permutation(features) for _ in range(orders // 2)])
    order = np.concatenate([half, half[:, ::-1]])
    drawn = background[np.tile(rng.integers(len(background), size=len(half)), 2)]
    rank = np.argsort(order, axis=1)
    on = rank[:, None] < np.arange(features + 1)[None, :, None]
    out = np.empty_like(x)
    for row, own in enumerate(x):
        values = f(np.where(on, own, drawn[:, None]).reshape(-1, features)).reshape(len(order), features + 1)
        out[row] = np.take_along_axis(np.diff(values, axis=1), rank, axis=1).mean(0)
    return out


def strongest(found: Reasons, row: int, count: int) -> Sequence[tuple[str, float, float]]:
    """Name, value (in standard deviations from the mean) and share of the features that moved a row's forecast most."""
    order = np.argsort(-np.abs(found.share[row]), kind="stable")[:count]
    return [
        (found.names[k], float(found.value[row, k]), float(found.share[row, k])) for k in order if found.share[row, k]
    ]
