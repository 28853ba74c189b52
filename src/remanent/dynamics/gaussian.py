"""A Gaussian law of the state (f, s, z, m) and the algebra on it that `propagate` and `assimilate` share.

z are constant effects that push f and s, m the indicators' own levels. Everything is structure of arrays, patients last. Sums over short axes are written
out, and parts are compiled as computations of their own (`compile.island`): on a CPU, XLA vectorises neither reductions over short leading axes nor fusions
that concatenate, pad or update a slice, and computes a shared product anew for each of its uses (docs/decisions/0062).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from remanent.dynamics.model import AnyArray

Lane = Float[AnyArray, " patient"]
Effects = Float[AnyArray, "effect patient"]
Levels = Float[AnyArray, "level patient"]


class Vector(NamedTuple):
    """One number for each state: of f, of s, of the effects, of the levels."""

    f: Lane
    s: Lane
    z: Effects
    m: Levels

    @property
    def whole(self) -> Float[Array, "state patient"]:
        """All of them, in this order."""
        return jnp.concatenate([self.f[None], self.s[None], self.z, self.m])


class Law(NamedTuple):
    """Gaussian law of the state.

    Attributes
    ----------
    mean
        Mean of each state.
    ff, fs, ss
        Covariance of (f, s).
    fz, sz, fm, sm
        Covariance of f and of s with each effect and with each level.
    zz, mz, mm
        Covariance of effects and levels, [effect, effect, patient], [level, effect, patient], [level, level, patient]; propagation leaves it alone.
    """

    mean: Vector
    ff: Lane
    fs: Lane
    ss: Lane
    fz: Effects
    sz: Effects
    fm: Levels
    sm: Levels
    zz: Float[AnyArray, "effect effect patient"]
    mz: Float[AnyArray, "level effect patient"]
    mm: Float[AnyArray, "level level patient"]

    @property
    def cov(self) -> Float[Array, "state state patient"]:
        """The whole covariance, in the order of `Vector`."""
        f = Vector(self.ff, self.fs, self.fz, self.fm).whole[None]
        s = Vector(self.fs, self.ss, self.sz, self.sm).whole[None]
        z = jnp.concatenate([self.fz[:, None], self.sz[:, None], self.zz, jnp.swapaxes(self.mz, 0, 1)], 1)
        m = jnp.concatenate([self.fm[:, None], self.sm[:, None], self.mz, self.mm], 1)
        return jnp.concatenate([f, s, z, m])


def total(terms: Sequence[Array]) -> Array:
    """Sum of the terms, written out."""
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def inner(a: Array, b: Array) -> Array:
    """Sum over the first axis of a b, written out."""
    return total([a[k] * b[k] for k in range(a.shape[0])]) if a.shape[0] else jnp.zeros((a * b).shape[1:])


def times(matrix: Array, v: Array) -> Array:
    """Sum over the first axis of `matrix`, [row, column, patient], times v, [row, patient]."""
    return inner(matrix, v[:, None])


def plus(v: Vector, weight: Lane, w: Vector) -> Vector:
    """V + weight w."""
    return Vector(v.f + weight * w.f, v.s + weight * w.s, v.z + weight[None] * w.z, v.m + weight[None] * w.m)


def scaled(weight: Lane, v: Vector) -> Vector:
    """Weight v."""
    return Vector(weight * v.f, weight * v.s, weight[None] * v.z, weight[None] * v.m)


def dot(v: Vector, w: Vector) -> Lane:
    """V·w."""
    return v.f * w.f + v.s * w.s + inner(v.z, w.z) + inner(v.m, w.m)
