"""The filter's move over time, with its gradient written out.

x' = Phi x + U z + push + noise(Q) for x = (f, s), so with F = [[Phi, U], [0, I]]

    m' = F m + push,  P' = F P F' + Q.

Backwards, L being the gradient in the covariance after the move and l that in the mean,

    l <- F' l,  L <- F' L F,  [Phi U]* = 2 (L F P) + l m'  (rows of f and s),  Q* = L.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from remanent.dynamics.compile import island
from remanent.dynamics.gaussian import Effects, Lane, Law, Vector, inner, times


class Move(NamedTuple):
    """What one step does to f and s, per patient.

    Attributes
    ----------
    ff, fs, sf, ss
        Phi; `fs` is the effect of s on f.
    uf, us
        What one unit of each effect adds to f and to s, [effect, patient].
    push_f, push_s
        What is added whatever the effects.
    qff, qfs, qss
        Covariance of the noise.
    """

    ff: Lane
    fs: Lane
    sf: Lane
    ss: Lane
    uf: Effects
    us: Effects
    push_f: Lane
    push_s: Lane
    qff: Lane
    qfs: Lane
    qss: Lane


Rows = tuple[Vector, Vector]


@jax.custom_vjp
def propagate(law: Law, move: Move) -> Law:
    """The law after the step's time and jumps."""
    return _propagated(law, move)[0]


def _propagated(law: Law, move: Move) -> tuple[Law, tuple[Law, Move, Rows]]:
    rows = island(_rows, law, move)
    after = island(_moved, law, move, rows)
    return after, (law._replace(mm=law.mm[:0]), move, rows)


def _rows(law: Law, move: Move) -> Rows:
    """[Phi U] P, of f and of s."""
    a, b = (
        Vector(
            to_f * law.ff + to_s * law.fs + inner(u, law.fz),
            to_f * law.fs + to_s * law.ss + inner(u, law.sz),
            to_f[None] * law.fz + to_s[None] * law.sz + times(law.zz, u),
            to_f[None] * law.fm + to_s[None] * law.sm + times(jnp.swapaxes(law.mz, 0, 1), u),
        )
        for to_f, to_s, u in ((move.ff, move.fs, move.uf), (move.sf, move.ss, move.us))
    )
    return a, b


def _moved(law: Law, move: Move, rows: Rows) -> Law:
    m, (a, b) = law.mean, rows
    mean = m._replace(
        f=move.ff * m.f + move.fs * m.s + move.push_f + inner(move.uf, m.z),
        s=move.sf * m.f + move.ss * m.s + move.push_s + inner(move.us, m.z),
    )
    ff = a.f * move.ff + a.s * move.fs + move.qff + inner(a.z, move.uf)
    fs = a.f * move.sf + a.s * move.ss + move.qfs + inner(a.z, move.us)
    ss = b.f * move.sf + b.s * move.ss + move.qss + inner(b.z, move.us)
    return law._replace(mean=mean, ff=ff, fs=fs, ss=ss, fz=a.z, sz=b.z, fm=a.m, sm=b.m)


def _propagated_back(residuals: tuple[Law, Move, Rows], to: Law) -> tuple[Law, Move]:
    law, move, rows = residuals
    own = island(_own_effects, move, to)
    return island(_before, move, to, own), island(_to_move, law, rows, to)


def _own_effects(move: Move, to: Law) -> tuple[Effects, Effects]:
    """Rows of f and s of L F, at the effects."""
    ff, fs, ss = to.ff[None], to.fs[None] / 2, to.ss[None]
    return ff * move.uf + fs * move.us + to.fz / 2, fs * move.uf + ss * move.us + to.sz / 2


def _before(move: Move, to: Law, own: tuple[Effects, Effects]) -> Law:
    """F' l and F' L F; a gradient in one of a pair of equal blocks stands for both."""
    f, s = own
    to_ff = to.ff * move.ff + to.fs / 2 * move.sf, to.ff * move.fs + to.fs / 2 * move.ss
    to_ss = to.fs / 2 * move.ff + to.ss * move.sf, to.fs / 2 * move.fs + to.ss * move.ss
    lam = to.mean
    return Law(
        Vector(
            lam.f * move.ff + lam.s * move.sf,
            lam.f * move.fs + lam.s * move.ss,
            lam.z + lam.f[None] * move.uf + lam.s[None] * move.us,
            lam.m,
        ),
        to_ff[0] * move.ff + to_ss[0] * move.sf,
        2 * (to_ff[0] * move.fs + to_ss[0] * move.ss),
        to_ff[1] * move.fs + to_ss[1] * move.ss,
        2 * (move.ff[None] * f + move.sf[None] * s),
        2 * (move.fs[None] * f + move.ss[None] * s),
        move.ff[None] * to.fm + move.sf[None] * to.sm,
        move.fs[None] * to.fm + move.ss[None] * to.sm,
        to.zz + move.uf[:, None] * (f + to.fz / 2)[None] + move.us[:, None] * (s + to.sz / 2)[None],
        to.mz + move.uf[None] * to.fm[:, None] + move.us[None] * to.sm[:, None],
        to.mm,
    )


def _to_move(law: Law, rows: Rows, to: Law) -> Move:
    (a, b), m, lam = rows, law.mean, to.mean
    weights = ((2 * to.ff, to.fs, to.fz, to.fm, lam.f), (to.fs, 2 * to.ss, to.sz, to.sm, lam.s))
    (ff, fs, uf), (sf, ss, us) = (
        (
            x * a.f + y * b.f + inner(z, law.fz) + inner(level, law.fm) + push * m.f,
            x * a.s + y * b.s + inner(z, law.sz) + inner(level, law.sm) + push * m.s,
            x[None] * a.z + y[None] * b.z + times(law.zz, z) + times(law.mz, level) + push[None] * m.z,
        )
        for x, y, z, level, push in weights
    )
    return Move(ff, fs, sf, ss, uf, us, lam.f, lam.s, to.ff, to.fs, to.ss)


propagate.defvjp(_propagated, _propagated_back)
