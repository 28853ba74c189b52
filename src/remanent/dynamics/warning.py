"""Early warning from momentary ratings: rising variance and lag-1 autocorrelation (critical slowing down), with a false-alarm rate that is fixed.

For one patient, each item's slowly moving mean is taken away (local linear regression, Gaussian kernel), then variance and autocorrelation of neighbouring
ratings are followed in moving windows. A trend is Kendall's tau of the windows' values over time, averaged over items. How large a tau is by chance is
learnt from surrogates that slow down in nothing: autoregressive series of order one, fitted to each item's own residuals, at the patient's own rating
times, with the items' own correlation, and with exactly the residuals' own values in another order (so floors, ties and constant runs are the same). They
go through the same detrending and the same windows. With B surrogates

    p_k = #{ b in 0..B : tau_k(b) >= tau_k(0) } / (B + 1)        b = 0: the patient;  k: variance, autocorrelation
    p   = #{ b in 0..B : min_k p_k(b) <= min_k p_k(0) } / (B + 1)

and a warning is given where p is at most the false-alarm rate: both trends are looked at, and the rate holds for them together. Uneven sampling: the
autoregression decays by phi^(gap / typical gap), and neighbours are pairs not more than 1.5 typical gaps apart, so nights do not count as neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import yaml
from jaxtyping import Bool, Float

LEAST_BLOCK_DAYS = 1 / 288  # ratings within five minutes are one occasion
NEIGHBOUR_GAPS = 1.5
PHI = np.concatenate([[0.0], np.linspace(0.02, 0.98, 49)])
Series = tuple[Float[np.ndarray, " rating"], Float[np.ndarray, " rating"]]


@dataclass(frozen=True)
class EarlyWarning:
    """What one patient's momentary ratings show.

    Attributes
    ----------
    items, ratings
        Which items took part, and how many ratings of them.
    window_days, windows
        Length of a window and how many there were.
    tau
        Trend of each statistic, mean over items, in [-1, 1]; NaN where it could not be computed, [statistic].
    p_value
        Share of surrogates with at least that trend, [statistic].
    p_either
        The same for the stronger of the two.
    false_alarm_rate
        Share of patients without any slowing down who get a warning.
    warned
        Whether there is a warning; None where the ratings do not allow the question.
    reason
        Why not, in words; empty otherwise.
    """

    items: tuple[str, ...]
    ratings: int
    window_days: float
    windows: int
    tau: tuple[float, float]
    p_value: tuple[float, float]
    p_either: float
    false_alarm_rate: float
    warned: bool | None
    reason: str = ""


class Spell(NamedTuple):
    """Variance and autocorrelation over one stretch of days, with their sampling errors, as measures for the state model."""

    day: float
    log_variance: float
    log_variance_se: float
    autocorrelation: float
    autocorrelation_se: float


class _Occasions(NamedTuple):
    """Ratings on one time axis: days [time], values [time, item] (NaN: not rated), number of raw ratings."""

    days: Float[np.ndarray, " time"]
    values: Float[np.ndarray, "time item"]
    ratings: int


@cache
def limits() -> Mapping[str, float]:
    """The numbers of warning.yaml."""
    table: Mapping[str, Any] = yaml.safe_load((files("remanent.dynamics") / "warning.yaml").read_text("utf-8"))
    return {name: float(entry["value"]) for name, entry in table.items()}


def early_warning(items: Mapping[str, Series], rng: np.random.Generator) -> EarlyWarning:
    """Trend of variance and autocorrelation of one patient's items, (days, values) by name, against surrogates."""
    occasions, names = _on_one_axis(items)
    window, ends = _windows(occasions.days)
    kept = _enough(occasions, window, ends)
    if not kept.any():
        return _unsaid(occasions, window, len(ends))
    occasions = _Occasions(occasions.days, occasions.values[:, kept], int(np.isfinite(occasions.values[:, kept]).sum()))
    residual = _detrended(occasions, window)
    surrogates = _surrogates(occasions.days, residual, int(limits()["surrogates"]), rng)
    smooth_again = _smoothers(occasions, window)
    flat = np.stack([s - h @ s for s, h in zip(surrogates, smooth_again, strict=True)])
    every = np.concatenate([np.nan_to_num(residual).T[:, :, None], flat], axis=2)
    tau = _trends(occasions, every, window, ends)
    if not np.isfinite(tau).all():
        return _unsaid(occasions, window, len(ends))
    p = np.stack([_exceeding(row) for row in tau])
    either = float(_exceeding(-p.min(0))[0])
    rate = limits()["false_alarm_rate"]
    return EarlyWarning(
        items=tuple(n for n, k in zip(names, kept, strict=True) if k),
        ratings=occasions.ratings,
        window_days=window,
        windows=len(ends),
        tau=(float(tau[0, 0]), float(tau[1, 0])),
        p_value=(float(p[0, 0]), float(p[1, 0])),
        p_either=either,
        false_alarm_rate=rate,
        warned=either <= rate,
    )


def spells(items: Mapping[str, Series]) -> list[Spell]:
    """Log variance and autocorrelation over stretches that do not overlap, mean over items; each item in units of its own sd.

    Standard errors as for one item (they would be smaller were items independent), with the number of ratings that an autocorrelated series is worth:
    se(log variance) = sqrt(2 (1 + phi²) / (n (1 - phi²))), se(phi) = sqrt((1 - phi²) / n).
    """
    occasions, _ = _on_one_axis(items)
    length = limits()["indicator_days"]
    window, _ = _windows(occasions.days)
    if not occasions.days.size or np.ptp(occasions.days) < length:
        return []
    kept = np.nanstd(occasions.values, axis=0) > 0
    if not kept.any():
        return []
    occasions = _Occasions(occasions.days, occasions.values[:, kept], occasions.ratings)
    residual = _detrended(occasions, max(window, length))
    scale = np.sqrt(np.nanmean(residual**2, axis=0))
    residual = residual / np.where(scale > 0, scale, 1.0)
    ends = np.arange(occasions.days[-1], occasions.days[0] + length - 1e-9, -length)[::-1]
    moments = _moments(occasions.days, residual.T[:, :, None], length, ends)
    out = []
    for k in range(len(ends)):
        n, variance, phi = (m[:, k, 0] for m in moments)
        fine = (n >= limits()["least_ratings"]) & (variance > 0) & np.isfinite(phi)
        if fine.any():
            r, count = float(np.clip(phi[fine].mean(), -0.95, 0.95)), float(n[fine].mean())
            se = np.sqrt(2 * (1 + r * r) / (count * (1 - r * r)))
            mean = float(np.log(variance[fine]).mean())
            out.append(Spell(float(ends[k] - length / 2), mean, float(se), r, float(np.sqrt((1 - r * r) / count))))
    return out


# One time axis


def _on_one_axis(items: Mapping[str, Series]) -> tuple[_Occasions, tuple[str, ...]]:
    """Ratings within one block of time are one occasion, their mean; blocks are five minutes, or longer for very many."""
    names = tuple(n for n, (_, value) in items.items() if value.size)
    if not names:
        return _Occasions(np.zeros(0), np.zeros((0, 0)), 0), ()
    day = np.concatenate([items[n][0] for n in names])
    value = np.concatenate([items[n][1] for n in names])
    item = np.repeat(np.arange(len(names)), [items[n][1].size for n in names])
    width = max(np.ptp(day) / limits()["most_times"], LEAST_BLOCK_DAYS)
    _, block = np.unique(np.floor((day - day.min()) / width), return_inverse=True)
    days = np.bincount(block, day) / np.bincount(block)
    cell = block * len(names) + item
    shape, size = (days.size, len(names)), days.size * len(names)
    count = np.bincount(cell, minlength=size).reshape(shape)
    total = np.bincount(cell, value, minlength=size).reshape(shape)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return _Occasions(days, values, value.size), names


def _windows(days: Float[np.ndarray, " time"]) -> tuple[float, Float[np.ndarray, " window"]]:
    """Length of a window and the days on which windows end."""
    if days.size < 2:
        return 0.0, np.zeros(0)
    span = days[-1] - days[0]
    window = min(limits()["most_window_days"], limits()["window_share"] * span)
    ends = np.arange(days[-1], days[0] + window - 1e-9, -limits()["step_days"])[::-1]
    return float(window), ends


def _enough(occasions: _Occasions, window: float, ends: np.ndarray) -> Bool[np.ndarray, " item"]:
    """Which items vary and have enough ratings in enough windows."""
    items = occasions.values.shape[1]
    if len(ends) < limits()["least_windows"]:
        return np.zeros(items, bool)
    seen = np.isfinite(occasions.values)
    first, last = _bounds(occasions.days, window, ends)
    running = np.concatenate([np.zeros((1, items)), np.cumsum(seen, axis=0)])
    per_window = running[last] - running[first]
    varies = np.array([np.nanmax(v) > np.nanmin(v) for v in occasions.values.T], bool)
    return varies & ((per_window >= limits()["least_ratings"]).sum(0) >= limits()["least_windows"])


def _unsaid(occasions: _Occasions, window: float, windows: int) -> EarlyWarning:
    nan = float("nan")
    why = (
        "no momentary ratings"
        if not occasions.days.size
        else (
            f"no item varies and has {limits()['least_ratings']:.0f} ratings in each of at least {limits()['least_windows']:.0f} windows of "
            f"{window:.1f} days"
        )
    )
    rate = limits()["false_alarm_rate"]
    return EarlyWarning((), occasions.ratings, window, windows, (nan, nan), (nan, nan), nan, rate, None, why)


# Detrending


def _smoothers(occasions: _Occasions, window: float) -> list[Float[np.ndarray, "time time"]]:
    """Per item, the matrix that takes a series on all times (0 where unrated) to its local linear mean at the rated times."""
    found: dict[bytes, np.ndarray] = {}
    out = []
    for rated in np.isfinite(occasions.values).T:
        key = rated.tobytes()
        if key not in found:
            found[key] = _local_linear(occasions.days, rated, window * limits()["bandwidth_share"])
        out.append(found[key])
    return out


def _local_linear(days: np.ndarray, rated: np.ndarray, bandwidth: float) -> Float[np.ndarray, "time time"]:
    t = days[rated]
    offset = t[None] - t[:, None]
    w = np.exp(-0.5 * (offset / max(bandwidth, 1e-9)) ** 2)
    s0, s1, s2 = w.sum(1), (w * offset).sum(1), (w * offset**2).sum(1)
    det = s0 * s2 - s1**2
    sloped = det > 1e-9 * s0**2 * max(bandwidth, 1e-9) ** 2
    line = w * (s2[:, None] - s1[:, None] * offset) / np.where(sloped, det, 1.0)[:, None]
    hat = np.where(sloped[:, None], line, w / s0[:, None])
    full = np.zeros((days.size, days.size))
    full[np.ix_(rated, rated)] = hat
    return full


def _detrended(occasions: _Occasions, window: float) -> Float[np.ndarray, "time item"]:
    """Residuals, NaN where unrated."""
    columns = []
    for value, smoother in zip(occasions.values.T, _smoothers(occasions, window), strict=True):
        residual = value - smoother @ np.nan_to_num(value)
        columns.append(residual - np.nanmean(residual))
    return np.stack(columns, axis=1)


# Surrogates


def _surrogates(
    days: np.ndarray, residual: Float[np.ndarray, "time item"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "item time surrogate"]:
    """Stationary series with each item's own autocorrelation and values, and the items' correlation; 0 where unrated."""
    gaps = np.diff(days, prepend=days[0]) / _typical_gap(days)
    phi = np.array([_fitted_phi(days, r) for r in residual.T])
    decay = np.where(gaps[:, None] > 0, phi[None] ** gaps[:, None], 0.0)
    fresh = np.sqrt(np.maximum(1 - decay**2, 0.0))
    mix = np.linalg.cholesky(_correlation(residual))
    x = np.empty((days.size, residual.shape[1], count))
    last = mix @ rng.standard_normal((residual.shape[1], count))
    for i in range(days.size):
        last = decay[i, :, None] * last + fresh[i, :, None] * (mix @ rng.standard_normal(last.shape))
        x[i] = last
    return np.stack([_with_values_of(r, x[:, j]) for j, r in enumerate(residual.T)])


def _with_values_of(residual: np.ndarray, x: Float[np.ndarray, "time surrogate"]) -> np.ndarray:
    """The values of `residual` in the order of each surrogate; 0 where unrated."""
    rated = np.isfinite(residual)
    rank = np.argsort(np.argsort(x[rated], axis=0), axis=0)
    out = np.zeros_like(x)
    out[rated] = np.sort(residual[rated])[rank]
    return out


def _typical_gap(days: np.ndarray) -> float:
    return max(float(np.median(np.diff(days))), LEAST_BLOCK_DAYS)


def _fitted_phi(days: np.ndarray, residual: np.ndarray) -> float:
    """Autocorrelation at one typical gap: the largest conditional likelihood of x_i | x_(i-1) ~ N(phi^g x_(i-1), v (1 - phi^2g))."""
    rated = np.isfinite(residual)
    x, gap = residual[rated], np.diff(days[rated])[:, None] / _typical_gap(days)
    decay = PHI[None] ** gap
    left = np.maximum(1 - decay**2, 1e-12)
    v = ((x[1:, None] - decay * x[:-1, None]) ** 2 / left).mean(0)
    score = -0.5 * np.log(np.maximum(v, 1e-300)) - 0.5 * np.log(left).mean(0)
    return float(PHI[np.argmax(score)])


def _correlation(residual: Float[np.ndarray, "time item"]) -> Float[np.ndarray, "item item"]:
    """Correlation of items at shared times, made positive definite; 0 where they share fewer than ten."""
    seen = np.isfinite(residual)
    x = np.nan_to_num(residual)
    shared = seen.T.astype(float) @ seen
    cross = x.T @ x
    squares = (x**2).T @ seen
    r = np.where(shared >= 10, cross / np.maximum(np.sqrt(squares * squares.T), 1e-300), 0.0)
    np.fill_diagonal(r, 1.0)
    values, vectors = np.linalg.eigh(r)
    fixed = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return fixed / scale[:, None] / scale[None]


# Windows and trends


def _bounds(days: np.ndarray, window: float, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.searchsorted(days, ends - window - 1e-9), np.searchsorted(days, ends + 1e-9)


def _moments(
    days: np.ndarray, x: Float[np.ndarray, "item time series"], window: float, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of ratings, variance and autocorrelation of neighbours per window, each [item, window, series]; x NaN where unrated."""
    first, last = _bounds(days, window, ends)

    def over(values: np.ndarray, start: np.ndarray) -> np.ndarray:
        running = np.concatenate([np.zeros_like(values[:, :1]), np.cumsum(values, axis=1)], axis=1)
        return running[:, last] - running[:, np.minimum(start, last)]

    seen = np.isfinite(x)
    filled = np.where(seen, x, 0.0)
    n = over(seen.astype(float), first)
    total, squares = over(filled, first), over(filled**2, first)
    variance = np.where(n > 1, (squares - total**2 / np.maximum(n, 1)) / np.maximum(n - 1, 1), np.nan)
    product, before, after = (over(v, first + 1) for v in _neighbours(days, filled, seen))
    scale = before * after
    enough = scale > 1e-12 * np.maximum(squares.max(axis=1, keepdims=True), 1e-300) ** 2
    autocorrelation = np.where(enough, product / np.sqrt(np.where(enough, scale, 1.0)), np.nan)
    return n, np.maximum(variance, 0.0), autocorrelation


def _neighbours(days: np.ndarray, x: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Product and squares of each rating with the one just before it on the common time axis; 0 where that is too long ago."""
    near = np.diff(days) <= NEIGHBOUR_GAPS * _typical_gap(days) + 1e-9
    pair = seen[:, 1:] & seen[:, :-1] & near[None, :, None]
    now, past = np.where(pair, x[:, 1:], 0.0), np.where(pair, x[:, :-1], 0.0)
    pad = np.zeros_like(x[:, :1])
    product, before, after = (np.concatenate([pad, v], axis=1) for v in (now * past, past**2, now**2))
    return product, before, after


def _trends(
    occasions: _Occasions, x: Float[np.ndarray, "item time series"], window: float, ends: np.ndarray
) -> Float[np.ndarray, "statistic series"]:
    """Kendall's tau of each statistic over windows, mean over the items for which it exists."""
    rated = np.isfinite(occasions.values).T[:, :, None]
    n, variance, autocorrelation = _moments(occasions.days, np.where(rated, x, np.nan), window, ends)
    enough = n >= limits()["least_ratings"]
    taus = (_kendall(np.where(enough, s, np.nan)) for s in (variance, autocorrelation))
    return np.stack([_mean_known(t) for t in taus])


def _mean_known(tau: Float[np.ndarray, "item series"]) -> Float[np.ndarray, " series"]:
    known = np.isfinite(tau)
    return np.where(known.any(0), np.where(known, tau, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _kendall(values: Float[np.ndarray, "item window series"]) -> Float[np.ndarray, "item series"]:
    """Mean sign of later minus earlier over pairs of windows that both have a value; ties count as 0."""
    total, pairs = np.zeros(values[:, 0].shape), np.zeros(values[:, 0].shape)
    for lag in range(1, values.shape[1]):
        difference = values[:, lag:] - values[:, :-lag]
        known = np.isfinite(difference)
        total += np.sign(np.where(known, difference, 0.0)).sum(1)
        pairs += known.sum(1)
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def _exceeding(statistic: Float[np.ndarray, " series"]) -> Float[np.ndarray, " series"]:
    """Share of series with at least as large a value, itself included."""
    order = np.sort(statistic)
    return (statistic.size - np.searchsorted(order, statistic - 1e-12)) / statistic.size
