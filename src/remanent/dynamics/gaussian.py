"""A Gaussian law of the state (f, s, z) and the algebra on it that `propagate` and `assimilate` share.

z are constant effects, of which the first push f and s and the last are each indicator's own level. Everything is structure of arrays, patients last. Sums
over short axes are written out, and parts are compiled as computations of their own: on a CPU, XLA vectorises neither reductions over short leading axes nor
fusions that concatenate or pad, and computes a shared product anew for each of its uses (docs/decisions/0062).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from remanent.dynamics.model import AnyArray

Lane = Float[AnyArray, " patient"]
Effects = Float[AnyArray, "effect patient"]


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


Tree = TypeVar("Tree")


def island(part: Callable[..., Tree], *given: Any) -> Tree:
    """`part(*given)`, compiled as a computation of its own, so that nothing in it is computed again elsewhere."""
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda: part(*given))()


def total(terms: Sequence[Array]) -> Array:
    """Sum of the terms, written out."""
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def inner(a: Array, b: Array) -> Array:
    """Sum over the first axis of a b, written out."""
    return total([a[k] * b[k] for k in range(a.shape[0])])


def plus(v: Vector, weight: Lane, w: Vector) -> Vector:
    """V + weight w."""
    return Vector(v.f + weight * w.f, v.s + weight * w.s, v.z + weight[None] * w.z)


def scaled(weight: Lane, v: Vector) -> Vector:
    """Weight v."""
    return Vector(weight * v.f, weight * v.s, weight[None] * v.z)


def dot(v: Vector, w: Vector) -> Lane:
    """V·w."""
    return v.f * w.f + v.s * w.s + inner(v.z, w.z)
