"""Log likelihood of every lane at every draw of the population parameters: one program for all mechanisms."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood
from remanent.dynamics.priors import MECHANISMS, SWITCHES, Layout, Mechanism, to_params
from remanent.dynamics.steps import Grid

Thetas = Float[np.ndarray, "draw param"]
LogJoint = Callable[[Thetas], Float[np.ndarray, " draw"]]


def pointwise(layout: Layout, mechanism: Mechanism, thetas: Thetas, grid: Grid) -> Float[np.ndarray, "draw lane"]:
    """Log likelihood of each lane's data (nats); minus infinity where a draw makes them impossible to compute."""
    switches = jnp.asarray(SWITCHES[MECHANISMS.index(mechanism)])
    found = np.asarray(_program(layout)(jnp.asarray(thetas), switches, Grid(*map(jnp.asarray, grid))))
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
    def every(thetas: Array, switches: Array, grid: Grid) -> Array:
        return jax.lax.map(lambda theta: log_likelihood(to_params(theta, layout, switches), grid, layout.form), thetas)

    return compiled(every)
