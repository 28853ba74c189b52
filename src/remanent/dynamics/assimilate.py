"""Bayes' rule for what is seen at one step, with its gradient written out.

One update by the hazards (of f alone), then the readings y_b = h_b·x + error, one after the other, each

    c = P h,  s = h·c + noise,  e = y - h·m:   m += gain c,  P -= kappa c c',

with gain = e / s and kappa = 1 / s but at the end of a scale (`censored`). None needs P as the one before left it,
c_b = P_0 h_b - sum_{a<b} kappa_a (h_b·c_a) c_a, so P is read and written once. Backwards, L being the gradient in the covariance after the step, l that in
the mean and q = L c,

    c* = -2 kappa q + gain l + s* h,   L <- L + (c* h' + h c*') / 2,   l <- l - e* h.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from remanent.dynamics.censored import taken, taken_back
from remanent.dynamics.compile import island
from remanent.dynamics.gaussian import Lane, Law, Vector, dot, inner, plus, scaled, times, total
from remanent.dynamics.model import AnyArray


@jax.tree_util.register_static
@dataclass(frozen=True)
class At:
    """A place among the levels that is the same for every patient, and known when the program is compiled; None: nowhere."""

    index: int | None


Weights = Float[AnyArray, "level patient"] | At


class Reading(NamedTuple):
    """One thing read: y = f_weight f + s_weight s + own·m + error.

    Attributes
    ----------
    f, s
        Loadings.
    own
        Where the indicator's own level stands among the levels: its place, or a weight for each, 1 there and 0 elsewhere. Not differentiated.
    noise
        Variance of the error.
    value
        y less everything known beforehand.
    seen
        1 where there is such a reading.
    beyond
        1 where the truth is known only to be at least the value, -1 where at most; 0: the value itself was read. Not differentiated.
    """

    f: Lane
    s: Lane
    own: Weights
    noise: Lane
    value: Lane
    seen: Lane
    beyond: Lane


class Updates(NamedTuple):
    """The scalar updates of one step in order, that of the hazards first: mean += gain c, P -= kappa c c'; e, s and lambda (`censored`) of each reading."""

    column: tuple[Vector, ...]
    kappa: tuple[Lane, ...]
    gain: tuple[Lane, ...]
    error: tuple[Lane, ...]
    variance: tuple[Lane, ...]
    mills: tuple[Lane, ...]


def weights(own: Weights, levels: int) -> AnyArray:
    """`Reading.own` as an array, [level, patient or 1]."""
    if isinstance(own, At):
        return (np.arange(levels) == (-1 if own.index is None else own.index))[:, None].astype(float)
    return own


def _level(own: Weights, v: Array) -> Array:
    """The element along the first axis of `v` that `own` picks."""
    if isinstance(own, At):
        return jnp.zeros(v.shape[1:]) if own.index is None else v[own.index]
    return total([own[k].reshape(*(1,) * (v.ndim - 2), -1) * v[k] for k in range(own.shape[0])])


def _along(v: Vector, weight: Lane, h: Reading) -> Vector:
    """V + weight h."""
    own = weights(h.own, v.m.shape[0])
    return Vector(v.f + weight * h.f, v.s + weight * h.s, v.z, v.m + weight[None] * own)


def _reads(h: Reading, v: Vector) -> Lane:
    """H·v."""
    return h.f * v.f + h.s * v.s + _level(h.own, v.m)


def own_levels(indicator: Int[AnyArray, "slot patient"], levels: int, indicators: int) -> tuple[Weights, ...]:
    """`Reading.own` of each slot.

    Where there are as many slots as indicators, slot j reads indicator j, at a place that is known.
    """
    slots = indicator.shape[0]
    if not levels:
        return (At(None),) * slots
    if slots == levels == indicators:
        return tuple(At(j) for j in range(slots))
    return tuple((jnp.arange(levels)[:, None] == indicator[b][None]).astype(float) for b in range(slots))


@jax.custom_vjp
def assimilate(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]) -> tuple[Law, Lane]:
    """The law after what is seen, and the log density of the readings (nats); `tilt`: gain and kappa of the update by the hazards."""
    return updates(law, tilt, readings)[:2]


def updates(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]) -> tuple[Law, Lane, Updates]:
    """The same, with the updates that led there."""
    return _run(law, tilt, readings, lambda _, h, __, mean: h.value - _reads(h, mean))


def draw(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...], z: Array) -> tuple[Law, list[Lane]]:
    """Draw each reading from its predictive law by standard normal `z`, [slot, patient], and fold it in: the law after, and the values.

    No scale has an end here.
    """
    values: list[Lane] = []

    def error(b: int, h: Reading, s: Lane, mean: Vector) -> Lane:
        e = jnp.sqrt(s) * z[b]
        values.append(e + _reads(h, mean))
        return e

    return _run(law, tilt, readings, error)[0], values


def _run(
    law: Law,
    tilt: tuple[Lane, Lane],
    readings: tuple[Reading, ...],
    error_of: Callable[[int, Reading, Lane, Vector], Lane],
) -> tuple[Law, Lane, Updates]:
    column = [Vector(law.ff, law.fs, law.fz, law.fm)]
    gain, kappa = [tilt[0]], [tilt[1]]
    mean = plus(law.mean, gain[0], column[0])
    error, variance, mills, density = [], [], [], jnp.zeros_like(tilt[0])
    for b, h in enumerate(readings):
        c = island(_column, law, h, tuple(kappa), tuple(column))
        var = island(_variance, h, c)
        e = error_of(b, h, var, mean)
        says = island(taken, e, var, h.seen, h.beyond)
        density = density + says.density
        column.append(c)
        kappa.append(says.kappa)
        gain.append(says.gain)
        mean = island(plus, mean, gain[-1], c)
        error.append(e)
        variance.append(var)
        mills.append(says.mills)
    made = Updates(*map(tuple, (column, kappa, gain, error, variance, mills)))
    return island(_downdated, law, mean, made), density, made


def _variance(h: Reading, c: Vector) -> Lane:
    return _reads(h, c) + h.noise


def _column(law: Law, h: Reading, kappa: Sequence[Lane], column: Sequence[Vector]) -> Vector:
    """P h after the updates made."""
    c = Vector(
        h.f * law.ff + h.s * law.fs + _level(h.own, law.fm),
        h.f * law.fs + h.s * law.ss + _level(h.own, law.sm),
        h.f[None] * law.fz + h.s[None] * law.sz + _level(h.own, law.mz),
        h.f[None] * law.fm + h.s[None] * law.sm + _level(h.own, law.mm),
    )
    for k, v in zip(kappa, column, strict=True):
        c = plus(c, -k * _reads(h, v), v)
    return c


def _downdated(law: Law, mean: Vector, made: Updates) -> Law:
    """P less every kappa c c'."""
    by_kappa = [scaled(k, v) for k, v in zip(made.kappa, made.column, strict=True)]
    pairs = list(zip(by_kappa, made.column, strict=True))
    return Law(
        mean,
        law.ff - total([a.f * b.f for a, b in pairs]),
        law.fs - total([a.f * b.s for a, b in pairs]),
        law.ss - total([a.s * b.s for a, b in pairs]),
        law.fz - total([a.f[None] * b.z for a, b in pairs]),
        law.sz - total([a.s[None] * b.z for a, b in pairs]),
        law.fm - total([a.f[None] * b.m for a, b in pairs]),
        law.sm - total([a.s[None] * b.m for a, b in pairs]),
        law.zz - total([a.z[:, None] * b.z[None] for a, b in pairs]),
        law.mz - total([a.m[:, None] * b.z[None] for a, b in pairs]),
        law.mm - total([a.m[:, None] * b.m[None] for a, b in pairs]),
    )


Residuals = tuple[tuple[Lane, Lane], tuple[Vector, Vector], Updates, tuple[Reading, ...]]


def _assimilated(
    law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]
) -> tuple[tuple[Law, Lane], Residuals]:
    after, density, made = updates(law, tilt, readings)
    rows = Vector(law.ff, law.fs, law.fz, law.fm), Vector(law.fs, law.ss, law.sz, law.sm)
    return (after, density), ((law.mean.f, law.mean.s), rows, made, readings)


def _assimilated_back(
    residuals: Residuals, cotangent: tuple[Law, Lane]
) -> tuple[Law, tuple[Lane, Lane], tuple[Reading, ...]]:
    mean, rows, made, readings = residuals
    to, weight = cotangent
    big = island(_halved, to)
    lam = to.mean
    back: list[Vector] = []  # c* of the readings, from the last to the first
    found: list[Reading] = []
    for b in reversed(range(len(readings))):
        h, c = readings[b], made.column[b + 1]
        q = island(_pulled, big, c, readings[b + 1 :], tuple(back[::-1]))
        pull, to_e, to_s = island(_pull, (q, c, lam), h, made, b, weight)
        to_f, to_s_loading = island(_to_loadings, mean, rows, made, b, pull, (to_e, to_s))
        own = h.own if isinstance(h.own, At) else None
        found.append(Reading(to_f, to_s_loading, own, to_s, to_e, None, None))
        lam = island(_along, lam, -to_e, h)
        back.append(pull)
    back.reverse()
    c, kappa, gain = made.column[0], made.kappa[0], made.gain[0]
    q = island(_pulled, big, c, readings, tuple(back))
    tilt = dot(lam, c), -dot(c, q)
    first = plus(scaled(-2 * kappa, q), gain, lam)
    before = island(_folded, big, lam, first, list(zip(readings, back, strict=True)))
    return before, tilt, tuple(found[::-1])


def _pull(
    vectors: tuple[Vector, Vector, Vector], h: Reading, made: Updates, b: int, weight: Lane
) -> tuple[Vector, Lane, Lane]:
    """c*, e* and s* of reading b."""
    q, c, lam = vectors
    says = h.seen, h.beyond, made.mills[b]
    to_e, to_s = taken_back(made.error[b], made.variance[b], says, (dot(lam, c), -dot(c, q), weight))
    return _along(plus(scaled(-2 * made.kappa[b + 1], q), made.gain[b + 1], lam), to_s, h), to_e, to_s


def _to_loadings(
    mean: tuple[Lane, Lane],
    rows: tuple[Vector, Vector],
    made: Updates,
    b: int,
    pull: Vector,
    to: tuple[Lane, Lane],
) -> tuple[Lane, Lane]:
    """The gradient in the loadings of reading b: h* = s* c - e* m + P c*, with m and P as they were before it."""
    to_e, to_s = to
    reach = [made.kappa[a] * dot(made.column[a], pull) for a in range(b + 1)]
    to_h = []
    for start, row, part in zip(mean, rows, ("f", "s"), strict=True):
        mine = [getattr(v, part) for v in made.column]
        before = start + total([made.gain[a] * mine[a] for a in range(b + 1)])
        through = dot(row, pull) - total([reach[a] * mine[a] for a in range(b + 1)])
        to_h.append(to_s * mine[b + 1] - to_e * before + through)
    return to_h[0], to_h[1]


def _halved(to: Law) -> Law:
    """L, each half of a pair of equal elements, from the gradient in the blocks."""
    halves = {k: getattr(to, k) / 2 for k in ("fs", "fz", "sz", "fm", "sm", "mz")}
    both = {k: (getattr(to, k) + jnp.swapaxes(getattr(to, k), 0, 1)) / 2 for k in ("zz", "mm")}
    return to._replace(**halves, **both)


def _times(big: Law, c: Vector) -> Vector:
    """L c."""
    return Vector(
        big.ff * c.f + big.fs * c.s + inner(big.fz, c.z) + inner(big.fm, c.m),
        big.fs * c.f + big.ss * c.s + inner(big.sz, c.z) + inner(big.sm, c.m),
        big.fz * c.f[None] + big.sz * c.s[None] + times(big.zz, c.z) + times(big.mz, c.m),
        big.fm * c.f[None] + big.sm * c.s[None] + times(jnp.swapaxes(big.mz, 0, 1), c.z) + times(big.mm, c.m),
    )


def _pulled(big: Law, c: Vector, readings: Sequence[Reading], back: Sequence[Vector]) -> Vector:
    """L c once the later readings' part (c* h' + h c*') / 2 is added to L."""
    q = _times(big, c)
    for h, pull in zip(readings, back, strict=True):
        q = _along(plus(q, 0.5 * _reads(h, c), pull), 0.5 * dot(pull, c), h)
    return q


def _folded(big: Law, lam: Vector, first: Vector, pulls: list[tuple[Reading, Vector]]) -> Law:
    """The gradient in the law before: L with every update's (c* h' + h c*') / 2; the hazards' h is that of f alone."""
    by_f = [first, *(scaled(h.f, v) for h, v in pulls)]
    by_s = [scaled(h.s, v) for h, v in pulls]
    return Law(
        lam,
        total([big.ff, *(v.f for v in by_f)]),
        total([2 * big.fs, *(v.s for v in by_f), *(v.f for v in by_s)]),
        total([big.ss, *(v.s for v in by_s)]),
        total([2 * big.fz, *(v.z for v in by_f)]),
        total([2 * big.sz, *(v.z for v in by_s)]),
        _at_own(total([2 * big.fm, *(v.m for v in by_f)]), [(h, v.f) for h, v in pulls]),
        _at_own(total([2 * big.sm, *(v.m for v in by_s)]), [(h, v.s) for h, v in pulls]),
        big.zz,
        _at_own(2 * big.mz, [(h, v.z) for h, v in pulls]),
        _at_own(big.mm, [(h, v.m) for h, v in pulls]),
    )


def _at_own(to: Array, rows: list[tuple[Reading, Array]]) -> Array:
    """Each row added at its reading's own level: the gradient in a symmetric matrix needs not be symmetric itself."""
    levels = to.shape[0]
    if not levels or not rows:
        return to
    if all(isinstance(h.own, At) for h, _ in rows):
        return to + island(lambda *each: jnp.stack(each), *(row for _, row in rows))
    own = [weights(h.own, levels).reshape(levels, *(1,) * (to.ndim - 2), -1) for h, _ in rows]
    return to + total([w * row[None] for w, (_, row) in zip(own, rows, strict=True)])


assimilate.defvjp(_assimilated, _assimilated_back)
