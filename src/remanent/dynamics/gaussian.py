"""The two moves of a filter on a Gaussian law, each with its gradient written out: `propagate` over time, `assimilate` what is seen.

The state is (f, s, z): z are constant effects, of which the first push f and s and the last are each indicator's own level. Everything is structure of
arrays, patients last. The gradients are those of reverse mode, L being that in the covariance and l that in the mean; JAX's own derivation is eight times as
slow on a CPU, because XLA computes shared products anew for each of their uses. For the same reason sums over short axes are written out and nothing is
concatenated or padded: only element-wise loops are vectorised.

Propagation: x' = Phi x + U z + push + noise(Q), so with F = [[Phi, U], [0, I]]

    m' = F m + push,  P' = F P F' + Q;      l <- F' l,  L <- F' L F,  [Phi U]* = 2 (L F P) + l m'  (rows of f and s),  Q* = L.

Assimilation: one update by the hazards (of f alone), then the readings y_b = h_b·x + error, one after the other, each

    c = P h,  s = h·c + noise,  e = y - h·m,  kappa = seen / s:   m += c kappa e,  P -= kappa c c'.

None needs P as the one before left it, c_b = P_0 h_b - sum_{a<b} kappa_a (h_b·c_a) c_a, so P is read and written once. Backwards, with q = L c,

    c* = -2 kappa q + kappa e l + s* h,   L <- L + (c* h' + h c*') / 2,   l <- l - e* h.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float, Int

from remanent.dynamics.model import AnyArray

Lane = Float[AnyArray, " patient"]
Effects = Float[AnyArray, "effect patient"]
Weights = Float[AnyArray, "effect #patient"]


class Vector(NamedTuple):
    """One number for each state: of f, of s, of the effects."""

    f: Lane
    s: Lane
    z: Effects


class Law(NamedTuple):
    """Gaussian law of the state.

    Attributes
    ----------
    mean
        Mean of each state.
    ff, fs, ss
        Covariance of (f, s).
    fz, sz
        Covariance of f and of s with each effect.
    zz
        Covariance of the effects, [effect, effect, patient]; propagation leaves it alone.
    """

    mean: Vector
    ff: Lane
    fs: Lane
    ss: Lane
    fz: Effects
    sz: Effects
    zz: Float[AnyArray, "effect effect patient"]

    @property
    def cov(self) -> Float[Array, "state state patient"]:
        """The whole covariance, f and s first."""
        top = jnp.stack([jnp.stack([self.ff, self.fs]), jnp.stack([self.fs, self.ss])])
        side = jnp.stack([self.fz, self.sz])
        low = jnp.concatenate([jnp.swapaxes(side, 0, 1), self.zz], 1)
        return jnp.concatenate([jnp.concatenate([top, side], 1), low], 0)


class Move(NamedTuple):
    """What one step does to f and s, per patient.

    Attributes
    ----------
    ff, fs, sf, ss
        Phi; `fs` is the effect of s on f.
    uf, us
        What one unit of each of the first effects adds to f and to s.
    push_f, push_s
        What is added whatever the effects.
    qff, qfs, qss
        Covariance of the noise.
    """

    ff: Lane
    fs: Lane
    sf: Lane
    ss: Lane
    uf: tuple[Lane, ...]
    us: tuple[Lane, ...]
    push_f: Lane
    push_s: Lane
    qff: Lane
    qfs: Lane
    qss: Lane


class Reading(NamedTuple):
    """One thing read: y = f_weight f + s_weight s + own·z + error.

    Attributes
    ----------
    f, s
        Loadings.
    own
        Weight of each effect: 1 at the indicator's own level, 0 elsewhere; data, not differentiated.
    noise
        Variance of the error.
    value
        y less everything known beforehand.
    seen
        1 where there is such a reading.
    """

    f: Lane
    s: Lane
    own: Weights
    noise: Lane
    value: Lane
    seen: Lane


class Updates(NamedTuple):
    """The scalar updates of one step in order, that of the hazards first: mean += gain c, P -= kappa c c'; error e and variance s of each reading."""

    column: tuple[Vector, ...]
    kappa: tuple[Lane, ...]
    gain: tuple[Lane, ...]
    error: tuple[Lane, ...]
    variance: tuple[Lane, ...]


Tree = TypeVar("Tree")


def _island(part: Callable[..., Tree], *given: Any) -> Tree:
    """`part(*given)`, compiled as a computation of its own, so that nothing in it is computed again elsewhere."""
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda: part(*given))()


def total(terms: Sequence[Array]) -> Array:
    """Sum of the terms, written out."""
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def _inner(a: Array, b: Array) -> Array:
    return total([a[k] * b[k] for k in range(a.shape[0])])


def _plus(v: Vector, weight: Lane, w: Vector | Reading) -> Vector:
    """V + weight w; of a reading, its h."""
    z = w.own if isinstance(w, Reading) else w.z
    return Vector(v.f + weight * w.f, v.s + weight * w.s, v.z + weight[None] * z)


def _scaled(weight: Lane, v: Vector) -> Vector:
    return Vector(weight * v.f, weight * v.s, weight[None] * v.z)


def _dot(v: Vector, w: Vector) -> Lane:
    return v.f * w.f + v.s * w.s + _inner(v.z, w.z)


def _level(own: Weights, v: Array) -> Array:
    """The element along the first axis of `v` that `own` picks."""
    if isinstance(own, np.ndarray):
        at = np.flatnonzero(own[:, 0])
        return v[int(at[0])] if at.size else jnp.zeros_like(v[0])
    return total([own[k].reshape(*(1,) * (v.ndim - 2), -1) * v[k] for k in range(own.shape[0])])


def _reads(h: Reading, v: Vector) -> Lane:
    """H·v."""
    return h.f * v.f + h.s * v.s + _level(h.own, v.z)


def own_levels(
    indicator: Int[AnyArray, "slot patient"], effects: int, levels: int, indicators: int
) -> tuple[Weights, ...]:
    """`Reading.own` of each slot where the last `levels` of the effects are the indicators' own.

    Where there are as many slots as indicators, slot j reads indicator j, and the weights are constants.
    """
    slots = indicator.shape[0]
    if not levels:
        return (np.zeros((effects, 1)),) * slots
    if slots == levels == indicators:
        return tuple(np.eye(effects)[:, effects - levels + j, None] for j in range(slots))
    at = indicator + (effects - levels)
    return tuple((jnp.arange(effects)[:, None] == at[b][None]).astype(float) for b in range(slots))


@jax.custom_vjp
def propagate(law: Law, move: Move) -> Law:
    """The law after the step's time and jumps."""
    return _propagated(law, move)[0]


def _propagated(law: Law, move: Move) -> tuple[Law, tuple[Law, Move, tuple[Vector, Vector]]]:
    after, rows = _island(_moved, law, move)
    return after, (law._replace(zz=law.zz[: len(move.uf)]), move, rows)


def _moved(law: Law, move: Move) -> tuple[Law, tuple[Vector, Vector]]:
    m, pushing = law.mean, len(move.uf)
    rows, means = [], []
    for to_f, to_s, u, push in (
        (move.ff, move.fs, move.uf, move.push_f),
        (move.sf, move.ss, move.us, move.push_s),
    ):
        means.append(total([to_f * m.f, to_s * m.s, push, *(u[k] * m.z[k] for k in range(pushing))]))
        f = total([to_f * law.ff, to_s * law.fs, *(u[k] * law.fz[k] for k in range(pushing))])
        s = total([to_f * law.fs, to_s * law.ss, *(u[k] * law.sz[k] for k in range(pushing))])
        z = total([to_f[None] * law.fz, to_s[None] * law.sz, *(u[k][None] * law.zz[k] for k in range(pushing))])
        rows.append(Vector(f, s, z))
    a, b = rows
    ff = total([a.f * move.ff, a.s * move.fs, move.qff, *(a.z[k] * move.uf[k] for k in range(pushing))])
    fs = total([a.f * move.sf, a.s * move.ss, move.qfs, *(a.z[k] * move.us[k] for k in range(pushing))])
    ss = total([b.f * move.sf, b.s * move.ss, move.qss, *(b.z[k] * move.us[k] for k in range(pushing))])
    return Law(Vector(means[0], means[1], m.z), ff, fs, ss, a.z, b.z, law.zz), (a, b)


def _propagated_back(residuals: tuple[Law, Move, tuple[Vector, Vector]], to: Law) -> tuple[Law, Move]:
    return _island(_moved_back, *residuals, to)


def _moved_back(law: Law, move: Move, rows: tuple[Vector, Vector], to: Law) -> tuple[Law, Move]:
    a, b = rows
    pushing, effects = len(move.uf), law.fz.shape[0]
    ff, fs, ss, fz, sz = to.ff, to.fs / 2, to.ss, to.fz / 2, to.sz / 2  # L, each half of a pair of equal elements
    # B = (rows f and s of L) F, [Phi U] first
    bf = [ff * move.ff + fs * move.sf, ff * move.fs + fs * move.ss]
    bs = [fs * move.ff + ss * move.sf, fs * move.fs + ss * move.ss]
    bfz = [ff * move.uf[k] + fs * move.us[k] + fz[k] for k in range(pushing)]
    bsz = [fs * move.uf[k] + ss * move.us[k] + sz[k] for k in range(pushing)]
    unit = np.eye(effects)[:, :pushing, None]
    own_fz = fz + total([unit[:, k] * (bfz[k] - fz[k])[None] for k in range(pushing)])
    own_sz = sz + total([unit[:, k] * (bsz[k] - sz[k])[None] for k in range(pushing)])
    new_fz = move.ff[None] * own_fz + move.sf[None] * own_sz
    new_sz = move.fs[None] * own_fz + move.ss[None] * own_sz
    # U' B_z and what stands across the diagonal, on the rows of the first effects alone
    across = [move.uf[k][None] * (own_fz + fz) + move.us[k][None] * (own_sz + sz) for k in range(pushing)]
    zz = jax.lax.dynamic_update_slice(to.zz, to.zz[:pushing] + jnp.stack(across), (0, 0, 0))
    m, lam = law.mean, to.mean
    mean = Vector(
        lam.f * move.ff + lam.s * move.sf,
        lam.f * move.fs + lam.s * move.ss,
        lam.z + total([unit[:, k] * (lam.f * move.uf[k] + lam.s * move.us[k])[None] for k in range(pushing)]),
    )
    before = Law(mean, bf[0] * move.ff + bs[0] * move.sf, _twice_fs(move, bf, bs), bf[1] * move.fs + bs[1] * move.ss, 2 * new_fz, 2 * new_sz, zz)  # fmt: skip
    mz = [a.z[k] for k in range(pushing)], [b.z[k] for k in range(pushing)]

    def rows_of(x: Lane, y: Lane, side: Effects, push: Lane) -> list[Lane]:
        """2 (L F P) + l m' of one row, for f, s and the first effects."""
        to_f = 2 * (x * a.f + y * b.f + _inner(side, law.fz)) + push * m.f
        to_s = 2 * (x * a.s + y * b.s + _inner(side, law.sz)) + push * m.s
        to_u = [2 * (x * mz[0][k] + y * mz[1][k] + _inner(side, law.zz[k])) + push * m.z[k] for k in range(pushing)]
        return [to_f, to_s, *to_u]

    row_f, row_s = rows_of(ff, fs, fz, lam.f), rows_of(fs, ss, sz, lam.s)
    to_move = Move(
        row_f[0], row_f[1], row_s[0], row_s[1], tuple(row_f[2:]), tuple(row_s[2:]), lam.f, lam.s, to.ff, to.fs, to.ss
    )
    return before, to_move


def _twice_fs(move: Move, bf: list[Lane], bs: list[Lane]) -> Lane:
    return 2 * (bf[0] * move.fs + bs[0] * move.ss)


propagate.defvjp(_propagated, _propagated_back)


@jax.custom_vjp
def assimilate(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]) -> tuple[Law, Lane]:
    """The law after what is seen, and the log density of the readings (nats); `tilt`: gain and kappa of the update by the hazards."""
    return updates(law, tilt, readings)[:2]


def updates(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]) -> tuple[Law, Lane, Updates]:
    """The same, with the updates that led there."""
    return _run(law, tilt, readings, lambda _, h, __, mean: h.value - _reads(h, mean))


def draw(law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...], z: Array) -> tuple[Law, list[Lane]]:
    """Draw each reading from its predictive law by standard normal `z`, [slot, patient], and fold it in: the law after, and the values."""
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
    column = [Vector(law.ff, law.fs, law.fz)]
    gain, kappa = [tilt[0]], [tilt[1]]
    mean = _plus(law.mean, gain[0], column[0])
    error, variance, density = [], [], jnp.zeros_like(tilt[0])
    for b, h in enumerate(readings):
        c = _island(_column, law, h, tuple(kappa), tuple(column))
        var = _island(_variance, h, c)
        e = error_of(b, h, var, mean)
        density = density - 0.5 * h.seen * (jnp.log(2 * jnp.pi * var) + e * e / var)
        column.append(c)
        kappa.append(h.seen / var)
        gain.append(kappa[-1] * e)
        mean = _island(_plus, mean, gain[-1], c)
        error.append(e)
        variance.append(var)
    made = Updates(*map(tuple, (column, kappa, gain, error, variance)))
    return _island(_downdated, law, mean, made), density, made


def _variance(h: Reading, c: Vector) -> Lane:
    return _reads(h, c) + h.noise


def _column(law: Law, h: Reading, kappa: Sequence[Lane], column: Sequence[Vector]) -> Vector:
    """P h after the updates made."""
    f = h.f * law.ff + h.s * law.fs + _level(h.own, law.fz)
    s = h.f * law.fs + h.s * law.ss + _level(h.own, law.sz)
    c = Vector(f, s, h.f[None] * law.fz + h.s[None] * law.sz + _level(h.own, law.zz))
    for k, v in zip(kappa, column, strict=True):
        c = _plus(c, -k * _reads(h, v), v)
    return c


def _downdated(law: Law, mean: Vector, made: Updates) -> Law:
    """P less every kappa c c'."""
    scaled = [_scaled(k, v) for k, v in zip(made.kappa, made.column, strict=True)]
    pairs = list(zip(scaled, made.column, strict=True))
    return Law(
        mean,
        law.ff - total([a.f * b.f for a, b in pairs]),
        law.fs - total([a.f * b.s for a, b in pairs]),
        law.ss - total([a.s * b.s for a, b in pairs]),
        law.fz - total([a.f[None] * b.z for a, b in pairs]),
        law.sz - total([a.s[None] * b.z for a, b in pairs]),
        law.zz - total([a.z[:, None] * b.z[None] for a, b in pairs]),
    )


Residuals = tuple[tuple[Lane, Lane], tuple[Vector, Vector], Updates, tuple[Reading, ...]]


def _assimilated(
    law: Law, tilt: tuple[Lane, Lane], readings: tuple[Reading, ...]
) -> tuple[tuple[Law, Lane], Residuals]:
    after, density, made = updates(law, tilt, readings)
    rows = Vector(law.ff, law.fs, law.fz), Vector(law.fs, law.ss, law.sz)
    return (after, density), ((law.mean.f, law.mean.s), rows, made, readings)


def _assimilated_back(
    residuals: Residuals, cotangent: tuple[Law, Lane]
) -> tuple[Law, tuple[Lane, Lane], tuple[Reading, ...]]:
    mean, rows, made, readings = residuals
    to, weight = cotangent
    big = _island(_halved, to)
    lam = to.mean
    back: list[Vector] = []  # c* of the readings, from the last to the first
    found: list[Reading] = []
    for b in reversed(range(len(readings))):
        h, c = readings[b], made.column[b + 1]
        q = _island(_pulled, big, c, readings[b + 1 :], tuple(back[::-1]))
        step = (h, made.error[b], made.variance[b], made.kappa[b + 1], weight)
        pull, to_e, to_s = _island(_pull, q, c, lam, step)
        found.append(_island(_to_reading, mean, rows, made, b, pull, (to_e, to_s)))
        lam = _island(_plus, lam, -to_e, h)
        back.append(pull)
    back.reverse()
    c, kappa, gain = made.column[0], made.kappa[0], made.gain[0]
    q = _island(_pulled, big, c, readings, tuple(back))
    tilt = _dot(lam, c), -_dot(c, q)
    first = _plus(_scaled(-2 * kappa, q), gain, lam)
    before = _island(_folded, big, lam, first, list(zip(readings, back, strict=True)))
    return before, tilt, tuple(found[::-1])


def _pull(q: Vector, c: Vector, lam: Vector, step: tuple[Reading, Lane, Lane, Lane, Lane]) -> tuple[Vector, Lane, Lane]:
    """c*, e* and s*."""
    h, e, s, kappa, weight = step
    along = _dot(lam, c)
    to_kappa = e * along - _dot(c, q)
    to_e = kappa * along - weight * h.seen * e / s
    to_s = weight * h.seen * 0.5 * (e * e / s - 1) / s - kappa / s * to_kappa
    return _plus(_plus(_scaled(-2 * kappa, q), kappa * e, lam), to_s, h), to_e, to_s


def _to_reading(
    mean: tuple[Lane, Lane],
    rows: tuple[Vector, Vector],
    made: Updates,
    b: int,
    pull: Vector,
    to: tuple[Lane, Lane],
) -> Reading:
    """The gradient in the loadings, noise and value of reading b: h* = s* c - e* m + P c*, with m and P as they were before it."""
    to_e, to_s = to
    reach = [made.kappa[a] * _dot(made.column[a], pull) for a in range(b + 1)]
    to_h = []
    for start, row, part in zip(mean, rows, ("f", "s"), strict=True):
        mine = [getattr(v, part) for v in made.column]
        before = start + total([made.gain[a] * mine[a] for a in range(b + 1)])
        through = _dot(row, pull) - total([reach[a] * mine[a] for a in range(b + 1)])
        to_h.append(to_s * mine[b + 1] - to_e * before + through)
    return Reading(to_h[0], to_h[1], None, to_s, to_e, None)


def _halved(to: Law) -> Law:
    """L, each half of a pair of equal elements, from the gradient in the blocks."""
    return to._replace(fs=to.fs / 2, fz=to.fz / 2, sz=to.sz / 2, zz=(to.zz + jnp.swapaxes(to.zz, 0, 1)) / 2)


def _times(big: Law, c: Vector) -> Vector:
    """L c."""
    z = total([big.fz * c.f[None], big.sz * c.s[None], *(big.zz[k] * c.z[k][None] for k in range(c.z.shape[0]))])
    return Vector(
        big.ff * c.f + big.fs * c.s + _inner(big.fz, c.z), big.fs * c.f + big.ss * c.s + _inner(big.sz, c.z), z
    )


def _pulled(big: Law, c: Vector, readings: Sequence[Reading], back: Sequence[Vector]) -> Vector:
    """L c once the later readings' part (c* h' + h c*') / 2 is added to L."""
    q = _times(big, c)
    for h, pull in zip(readings, back, strict=True):
        q = _plus(_plus(q, 0.5 * _reads(h, c), pull), 0.5 * _dot(pull, c), h)
    return q


def _folded(big: Law, lam: Vector, first: Vector, pulls: list[tuple[Reading, Vector]]) -> Law:
    """The gradient in the law before: L with every update's (c* h' + h c*') / 2; the hazards' h is that of f alone."""
    f = [(first, None), *((v, h.f) for h, v in pulls)]
    by_f = [v if w is None else _scaled(w, v) for v, w in f]
    by_s = [_scaled(h.s, v) for h, v in pulls]
    return Law(
        lam,
        big.ff + total([v.f for v in by_f]),
        2 * big.fs + total([v.s for v in by_f] + [v.f for v in by_s]),
        big.ss + total([v.s for v in by_s]),
        2 * big.fz + total([v.z for v in by_f] + [h.own * v.f[None] for h, v in pulls]),
        2 * big.sz + total([v.z for v in by_s] + [h.own * v.s[None] for h, v in pulls]),
        _with_rows(big.zz, pulls),
    )


def _with_rows(zz: Array, pulls: list[tuple[Reading, Vector]]) -> Array:
    """Each c* added to the row of its own level: the gradient in a symmetric matrix needs not be symmetric itself."""
    first = pulls[0][0].own
    if isinstance(first, np.ndarray):
        start = int(np.flatnonzero(first[:, 0])[0]) if first.any() else zz.shape[0]
        rows = [zz[start + b] + v.z for b, (_, v) in enumerate(pulls)] if first.any() else []
        return jax.lax.dynamic_update_slice(zz, jnp.stack(rows), (start, 0, 0)) if rows else zz
    return zz + total([h.own[:, None] * v.z[None] for h, v in pulls])


assimilate.defvjp(_assimilated, _assimilated_back)
