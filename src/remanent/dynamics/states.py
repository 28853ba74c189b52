"""States of each patient given all data, averaged over mechanisms and population parameters, and how much of them the data determined."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import smooth, unwatched
from remanent.dynamics.infer import LEAST_WEIGHT, Posterior
from remanent.dynamics.priors import MECHANISMS, Layout, to_params
from remanent.dynamics.recursion import Smoothed
from remanent.dynamics.steps import Grid, by_parts

Theta = Float[np.ndarray, "draw param"]
_PAIRS = (("f_mean", "f_sd"), ("s_mean", "s_sd"), ("fitted_mean", "fitted_sd"))


@dataclass(frozen=True)
class States:
    """Posterior of the states.

    Attributes
    ----------
    smoothed
        Means and sds including the uncertainty about parameters and mechanism, [step, lane].
    contraction
        Share of the prior variance of function, over each lane's steps, that the data removed, [lane]; 0: nothing.
    """

    smoothed: Smoothed
    contraction: np.ndarray


def posterior_states(
    posterior: Posterior, grid: Grid, weight: Float[np.ndarray, " mechanism"], draws: int, rng: np.random.Generator
) -> States:
    """Mix smoothed states over `draws` parameter draws of each mechanism; the same from the prior, with nothing observed, to compare."""
    after = _mixture(posterior.layout, [fit.draw(rng, draws) for fit in posterior.fits], grid, weight)
    prior_draws = [rng.standard_normal((draws, posterior.layout.size)) for _ in MECHANISMS]
    before = _prior_variance(posterior.layout, prior_draws, grid)
    real = np.isfinite(grid.day)
    removed = 1 - (after.f_sd**2 * real).sum(0) / np.maximum((before * real).sum(0), 1e-12)
    return States(after, removed)


def _prior_variance(layout: Layout, draws: list[Theta], grid: Grid) -> Float[np.ndarray, "step lane"]:
    """Variance of function over draws and mechanisms, all equally likely."""
    data = Grid(*map(jnp.asarray, grid))
    parts = [_unwatched(layout)(jnp.asarray(d), jnp.asarray(layout.acting(m)), data) for m, d in enumerate(draws)]
    first, second = (np.mean([np.asarray(p[k]) for p in parts], axis=0) for k in (0, 1))
    return np.maximum(second - first**2, 0.0)


@lru_cache(maxsize=8)
def _unwatched(layout: Layout) -> Callable[..., Any]:
    """Program: mean over draws of the mean of function, and of its second moment."""

    def moments(theta: Array, switches: Array, grid: Grid) -> tuple[Array, Array]:
        def one(t: Array) -> tuple[Array, Array]:
            params = to_params(t, layout, switches)
            mean, variance = by_parts(lambda part: unwatched(params, part, layout.form), grid)
            return mean, variance + mean**2

        first, second = jax.lax.map(one, theta)
        return first.mean(0), second.mean(0)

    return compiled(moments)


def _mixture(layout: Layout, draws: list[Theta], grid: Grid, weight: np.ndarray) -> Smoothed:
    """Mechanisms with less than a thousandth of the weight are left out."""
    data = Grid(*map(jnp.asarray, grid))
    kept = np.flatnonzero(weight >= LEAST_WEIGHT)
    share = weight[kept] / weight[kept].sum()
    parts = [_averaged(layout)(jnp.asarray(draws[m]), jnp.asarray(layout.acting(int(m))), data) for m in kept]
    first, second = (
        {
            name: np.tensordot(share, np.stack([np.asarray(getattr(p[k], name)) for p in parts]), 1)
            for name in Smoothed._fields
        }
        for k in (0, 1)
    )
    sds = {sd: np.sqrt(np.maximum(second[mean] - first[mean] ** 2, 0.0)) for mean, sd in _PAIRS}
    return Smoothed(**{name: sds.get(name, values) for name, values in first.items()})


@lru_cache(maxsize=8)
def _averaged(layout: Layout) -> Callable[..., Any]:
    """Program: mean over draws of each smoothed mean, and of its second moment (variance plus squared mean)."""

    def moments(theta: Array, switches: Array, grid: Grid) -> tuple[Smoothed, Smoothed]:
        def one(x: Smoothed) -> Smoothed:
            squares = {mean: getattr(x, mean) ** 2 + getattr(x, sd) ** 2 for mean, sd in _PAIRS}
            return x._replace(**squares)

        def add(total: tuple[Smoothed, Smoothed], t: Array) -> tuple[tuple[Smoothed, Smoothed], None]:
            params = to_params(t, layout, switches)
            x = by_parts(lambda part: smooth(params, part, layout.form), grid)
            return jax.tree.map(jnp.add, total, (x, one(x))), None

        steps, slots = jnp.zeros_like(grid.dt), jnp.zeros_like(grid.value)
        none = Smoothed(*(slots if name.startswith("fitted") else steps for name in Smoothed._fields))
        zero = (none, none)
        total, _ = jax.lax.scan(add, zero, theta)
        return jax.tree.map(lambda v: v / theta.shape[0], total)

    return compiled(moments)
