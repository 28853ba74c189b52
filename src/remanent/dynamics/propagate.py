"""The filter's move over time, with its gradient written out.

x' = Phi x + U z + push + noise(Q) for x = (f, s), so with F = [[Phi, U], [0, I]]

    m' = F m + push,  P' = F P F' + Q.

Backwards, L being the gradient in the covariance after the move and l that in the mean,

    l <- F' l,  L <- F' L F,  [Phi U]* = 2 (L F P) + l m'  (rows of f and s),  Q* = L.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from remanent.dynamics.gaussian import Effects, Lane, Law, Vector, inner, island, total


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


@jax.custom_vjp
def propagate(law: Law, move: Move) -> Law:
    """The law after the step's time and jumps."""
    return _propagated(law, move)[0]


def _propagated(law: Law, move: Move) -> tuple[Law, tuple[Law, Move, tuple[Vector, Vector]]]:
    after, rows = island(_moved, law, move)
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
    return island(_moved_back, *residuals, to)


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
    to_ff, to_fs = bf[0] * move.ff + bs[0] * move.sf, 2 * (bf[0] * move.fs + bs[0] * move.ss)
    before = Law(mean, to_ff, to_fs, bf[1] * move.fs + bs[1] * move.ss, 2 * new_fz, 2 * new_sz, zz)
    mz = [a.z[k] for k in range(pushing)], [b.z[k] for k in range(pushing)]

    def rows_of(x: Lane, y: Lane, side: Effects, push: Lane) -> list[Lane]:
        """2 (L F P) + l m' of one row, for f, s and the first effects."""
        to_f = 2 * (x * a.f + y * b.f + inner(side, law.fz)) + push * m.f
        to_s = 2 * (x * a.s + y * b.s + inner(side, law.sz)) + push * m.s
        to_u = [2 * (x * mz[0][k] + y * mz[1][k] + inner(side, law.zz[k])) + push * m.z[k] for k in range(pushing)]
        return [to_f, to_s, *to_u]

    row_f, row_s = rows_of(ff, fs, fz, lam.f), rows_of(fs, ss, sz, lam.s)
    to_move = Move(
        row_f[0], row_f[1], row_s[0], row_s[1], tuple(row_f[2:]), tuple(row_s[2:]), lam.f, lam.s, to.ff, to.fs, to.ss
    )
    return before, to_move


propagate.defvjp(_propagated, _propagated_back)
