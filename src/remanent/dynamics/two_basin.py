"""The two-basin form: structure is pulled to 0 below a tipping point theta_i and to 1 above it.

    ds = [(c + a sum_k alpha_k D_k)(f - s) - r g(s, theta_i)] dt + sig_s dW_s,   g(s, theta) = s (s - theta)(s - 1)
    tipping point theta_i ~ N(theta - beta·x_i, sd_theta²)    x_i: tether (polygenic score, diagnosis)

Below theta_i a recovery that is not held up is lost; above it, it sustains itself. theta_i is one more constant state: what ties a patient to the
pathological level (tether x) moves the tipping point away. Between two nodes the law of (s, theta) is taken as Gaussian and g is linearised statistically
(Gaussian closure, continuous-discrete): with s ~ N(m, P), theta ~ N(t, .), C their covariance,

    E[g]           = m³ + 3 m P - (1 + t)(m² + P) + t m - 2 m C + C
    E[dg/ds]       = 3 (m² + P) - 2 (1 + t) m - 2 C + t
    E[dg/dtheta]   = -(m² + P - m)

taken at the middle of the interval. The drift so found may be singular or unstable: `any_drift`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from remanent.dynamics.any_drift import transition_any
from remanent.dynamics.model import Params, Transition
from remanent.dynamics.propagate import Move
from remanent.dynamics.recursion import MOVING, Form, Moments, inputs, moved, started
from remanent.dynamics.steps import Grid, Lane, Steered, steered, tethered

THETA = 6
_THETA_EFFECT = THETA - MOVING
_DOUBLINGS = 8  # steps are a week at most: rates up to 5 a day are exact to rounding, wilder ones stay finite
_WIDEST = 3.0  # structure beyond this many latent units is linearised as if it were there: far outside both basins


class Bend(NamedTuple):
    """g linearised: E[g], E[dg/ds], E[dg/dtheta]."""

    level: Lane
    by_s: Lane
    by_theta: Lane


def bend(m: Lane, var: Lane, theta: Lane, cov: Lane | float = 0.0) -> Bend:
    """Moments of g and of its slopes under a Gaussian law of (s, theta)."""
    square = m**2 + var
    level = m**3 + 3 * m * var - (1 + theta) * square + theta * m - 2 * m * cov + cov
    return Bend(level, 3 * square - 2 * (1 + theta) * m - 2 * cov + theta, m - square)


def transition_about(
    params: tuple[Lane, Lane, tuple[Lane, Lane]], kappa: Lane, about: tuple[Bend, Lane, Lane], dt: Lane
) -> tuple[Transition, Lane, Lane]:
    """Transition under g linearised at (m, theta); the input to s that this leaves, and what one unit of theta adds to that input.

    `params` are k_f, r and (sig_f, sig_s); `about` is the bend and the m and theta where it was taken.
    """
    k_f, r, sig = params
    b, m, theta = about
    law = transition_any(k_f, kappa, r * b.by_s, sig, dt, doublings=_DOUBLINGS)
    return law, r * (b.by_s * m + b.by_theta * theta - b.level), -r * b.by_theta


def start(params: Params, grid: Grid) -> Moments:
    """As in the linear form, with the tipping point."""
    mean = params.theta - tethered(params, grid.tether)
    return started(params, grid, mean[None], (params.sd_theta,))


def steer(params: Params, grid: Grid) -> Steered:
    """As in the linear form; the transition depends on the state and is found step by step."""
    return steered(params, grid)._replace(law=())


@partial(jax.checkpoint, prevent_cse=False)
def move(params: Params, moments: Moments, step: Steered) -> Move:
    """The transition linearised at the middle of the step; on the way back it is worked out again, which takes less time than keeping its parts."""
    b, m, theta = _middle(params, moments, step)
    shape = step.dt.shape
    k_f, r, sig_f, sig_s = (jnp.broadcast_to(v, shape) for v in (params.k_f, params.r, params.sig_f, params.sig_s))
    law, level, by_theta = transition_about((k_f, r, (sig_f, sig_s)), step.kappa, (b, m, theta), step.dt)
    push = law.gf * step.push_f + law.hf * level, law.gs * step.push_f + law.hs * level
    u_f, u_s = inputs(law, step)
    return moved(law, ((*u_f, law.hf * by_theta), (*u_s, law.hs * by_theta)), push)


def _middle(params: Params, moments: Moments, step: Steered) -> tuple[Bend, Lane, Lane]:
    """The bend half-way: mean, variance and covariance of s carried there by one Euler step of their equations."""
    x = moments.law
    m, theta = x.mean.s, x.mean.z[_THETA_EFFECT]
    var, cov = x.ss, x.sz[_THETA_EFFECT]
    now = bend(_held(m), var, theta, cov)
    half, r, kappa = step.dt / 2, params.r, step.kappa
    decay = kappa + r * now.by_s
    m_then = m + half * (kappa * (x.mean.f - m) - r * now.level)
    slope = 2 * (kappa * x.fs - decay * var - r * now.by_theta * cov) + params.sig_s**2
    cov_slope = kappa * x.fz[_THETA_EFFECT] - decay * cov - r * now.by_theta * x.zz[_THETA_EFFECT, _THETA_EFFECT]
    m_then, var_then = _held(m_then), jnp.maximum(var + half * slope, var / 2)
    return bend(m_then, var_then, theta, cov + half * cov_slope), m_then, theta


def _held(m: Lane) -> Lane:
    return jnp.clip(m, -_WIDEST, _WIDEST)


TWO_BASIN = Form(start, steer, move)
