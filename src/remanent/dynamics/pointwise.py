"""What a pass of the filter says at every draw of the population parameters: one program for all mechanisms, likelihoods and states of today alike."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import filtered
from remanent.dynamics.model import AnyArray, Params
from remanent.dynamics.priors import MECHANISMS, Layout, Mechanism, to_params
from remanent.dynamics.steps import Grid, by_parts

Thetas = Float[np.ndarray, "draw param"]
LogJoint = Callable[[Thetas], Float[np.ndarray, " draw"]]
AT_ONCE = 10


class Passed(NamedTuple):
    """One pass at each draw.

    Attributes
    ----------
    log_lik
        Log likelihood of each lane's data (nats), [draw, lane].
    mean, cov
        Law of the state after the last step, [draw, lane, state] and [draw, lane, state, state]; without the indicators' own levels where nothing is read.
    trace, withdrawal
        e and w, [draw, lane].
    params
        Each with a first axis `draw`.
    """

    log_lik: Float[AnyArray, "draw lane"]
    mean: Float[AnyArray, "draw lane state"]
    cov: Float[AnyArray, "draw lane state state"]
    trace: Float[AnyArray, "draw lane"]
    withdrawal: Float[AnyArray, "draw lane"]
    params: Params


def passes(layout: Layout, switches: Float[np.ndarray, " switch"], thetas: Thetas, grid: Grid) -> Iterator[Passed]:
    """Passes at all draws in order, ten at a time: the program is compiled for so many, whatever their number."""
    program, data, on = _program(layout), Grid(*map(jnp.asarray, grid)), jnp.asarray(switches)
    for start in range(0, len(thetas), AT_ONCE):
        part = thetas[start : start + AT_ONCE]
        found = program(jnp.asarray(np.resize(part, (AT_ONCE, part.shape[1]))), on, data)
        yield _first(found, len(part))


def _first(found: Passed, count: int) -> Passed:
    cut: Passed = jax.tree.map(lambda v: np.asarray(v)[:count], found)
    return cut


def passed(layout: Layout, switches: Float[np.ndarray, " switch"], thetas: Thetas, grid: Grid) -> Passed:
    """The same together."""
    whole: Passed = jax.tree.map(lambda *parts: np.concatenate(parts), *passes(layout, switches, thetas, grid))
    return whole


def pointwise(layout: Layout, mechanism: Mechanism, thetas: Thetas, grid: Grid) -> Float[np.ndarray, "draw lane"]:
    """Log likelihood of each lane's data (nats); minus infinity where a draw makes them impossible to compute."""
    switches = layout.acting(MECHANISMS.index(mechanism))
    found = np.concatenate([one.log_lik for one in passes(layout, switches, thetas, grid)])
    return np.where(np.isfinite(found), found, -np.inf)


def log_prior(thetas: Thetas) -> Float[np.ndarray, " draw"]:
    """Log density of the standard normal coordinates."""
    return -0.5 * (thetas**2).sum(1) - 0.5 * thetas.shape[1] * np.log(2 * np.pi)


def log_joint(layout: Layout, mechanism: Mechanism, grid: Grid) -> LogJoint:
    """Log p(data, theta) of many theta at once."""
    data = Grid(*map(jnp.asarray, grid))
    return lambda thetas: pointwise(layout, mechanism, thetas, data).sum(1) + log_prior(thetas)


@lru_cache(maxsize=8)
def _program(layout: Layout) -> Callable[..., Any]:
    def every(thetas: Array, switches: Array, grid: Grid) -> Passed:
        def one(theta: Array) -> Passed:
            params = to_params(theta, layout, switches)
            moments, log_lik = by_parts(lambda part: filtered(params, part, layout.form), grid)
            mean, cov = moments.mean.T, jnp.moveaxis(moments.cov, -1, 0)
            return Passed(log_lik, mean, cov, moments.trace, moments.withdrawal, params)

        return jax.lax.map(one, thetas)

    return compiled(every)
