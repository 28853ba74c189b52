"""Filter, smoother and marginal likelihood of both forms of the model: one door, whichever recursion serves."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array

from remanent.dynamics import recursion
from remanent.dynamics.model import FormName, Params
from remanent.dynamics.recursion import G_F, G_S, LINEAR, P_GAIN, START_SD, F, Form, Moments, Q, S, Smoothed
from remanent.dynamics.steps import Grid, Lane, Slots, Steps, in_parts
from remanent.dynamics.two_basin import TWO_BASIN

__all__ = [
    "FORMS",
    "G_F",
    "G_S",
    "P_GAIN",
    "START_SD",
    "F",
    "Grid",
    "Moments",
    "Q",
    "S",
    "Smoothed",
    "filtered",
    "last_state",
    "log_likelihood",
    "log_likelihood_of_all",
    "replicate",
    "smooth",
    "unwatched",
]

FORMS: Mapping[FormName, Form] = {"linear": LINEAR, "two-basin": TWO_BASIN}


def log_likelihood(params: Params, grid: Grid, form: FormName = "linear") -> Lane:
    """Log marginal likelihood of each patient's observations and relapse, dropout or censoring."""
    return recursion.filtered(FORMS[form], params, grid)[1]


def log_likelihood_of_all(params: Params, grid: Grid, form: FormName = "linear") -> Array:
    """Sum over the patients; its gradient is worked out with it, a part of them at a time."""

    def both(params: Params) -> tuple[Array, Params]:
        def add(so_far: tuple[Array, Params], part: Grid) -> tuple[tuple[Array, Params], None]:
            found = jax.value_and_grad(lambda p: log_likelihood(p, part, form).sum())(params)
            return jax.tree.map(jnp.add, so_far, found), None

        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        return jax.lax.scan(add, nothing, in_parts(grid))[0]

    @jax.custom_vjp
    def summed(params: Params) -> Array:
        return both(params)[0]

    summed.defvjp(both, lambda slope, to: (jax.tree.map(lambda v: to * v, slope),))
    return summed(params)


def last_state(params: Params, grid: Grid, form: FormName = "linear") -> Moments:
    """Filtered law of the state after each patient's last step."""
    return recursion.filtered(FORMS[form], params, grid)[0]


def filtered(params: Params, grid: Grid, form: FormName = "linear") -> tuple[Moments, Lane]:
    """Both, of one pass."""
    return recursion.filtered(FORMS[form], params, grid)


def unwatched(params: Params, grid: Grid, form: FormName = "linear") -> tuple[Steps, Steps]:
    """Mean and variance of function at each step, nothing of the patient being seen."""
    return recursion.unwatched(FORMS[form], params, grid)


def smooth(params: Params, grid: Grid, form: FormName = "linear") -> Smoothed:
    """Smoothed function and structure at every step."""
    return recursion.smooth(FORMS[form], params, grid)


def replicate(noise: Slots, params: Params, grid: Grid, form: FormName = "linear") -> Grid:
    """The same design with observations drawn from the model's own predictive law (events switched off) by standard normal `noise`."""
    return recursion.replicate(FORMS[form], noise, params, grid)
