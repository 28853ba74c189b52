"""Roll a known state forward: probability of no relapse and expected function under given doses. One kernel for every plan, patient and draw.

Given (f, s) and the passive gain p_i today, function and structure are Gaussian ahead; survival is the running product of the assumed-density normalisers
of `filter.tilted_moments` with trapezoid weights, so future diffusion is integrated over and only what is unknown today is left to the draws.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import P_GAIN, F, Grid, S, last_state, tilted_moments
from remanent.dynamics.model import AnyArray, Params, Transition, transition
from remanent.dynamics.priors import Layout, to_params

_POINT_VARIANCE = 1e-10
Lane = Float[AnyArray, " lane"]


class Today(NamedTuple):
    """Draws of what is unknown today: population parameters theta [draw, param] and each patient's (f, s, p_i), [draw, patient]."""

    theta: Float[AnyArray, "draw param"]
    f: Float[AnyArray, "draw patient"]
    s: Float[AnyArray, "draw patient"]
    p: Float[AnyArray, "draw patient"]


class Ahead(NamedTuple):
    """At the end of each interval: probability of no relapse so far, and mean of f whatever happens; [interval, draw, patient]."""

    survival: Float[np.ndarray, "interval draw patient"]
    function: Float[np.ndarray, "interval draw patient"]


class Outlook(NamedTuple):
    """The course to roll through.

    Attributes
    ----------
    dt
        Interval lengths (days).
    dose
        Mean exposure.
    held
        Exposure at the first record.
    stress
        Stressors, constant.
    """

    dt: Float[AnyArray, " interval"]
    dose: Float[AnyArray, "interval patient"]
    held: Float[AnyArray, " patient"]
    stress: Float[AnyArray, "stressor patient"]


def draw_today(
    layout: Layout,
    theta: Float[AnyArray, "draw param"],
    switches: Float[np.ndarray, " 2"],
    grid: Grid,
    rng: np.random.Generator,
) -> Today:
    """For each draw of theta, one draw of every patient's state from its filtered law."""
    mean, cov = (
        np.asarray(v) for v in _laws(layout)(jnp.asarray(theta), jnp.asarray(switches), Grid(*map(jnp.asarray, grid)))
    )
    root = np.linalg.cholesky(cov + 1e-12 * np.eye(3))
    x = mean + (root @ rng.standard_normal((*mean.shape, 1)))[..., 0]
    return Today(theta, x[..., 0], x[..., 1], x[..., 2])


@lru_cache(maxsize=8)
def _laws(layout: Layout) -> Callable[..., Any]:
    """Program: mean [draw, patient, 3] and covariance [draw, patient, 3, 3] of (f, s, p_i) after the last step."""
    kept = np.array([F, S, P_GAIN])

    def laws(theta: Array, switches: Array, grid: Grid) -> tuple[Array, Array]:
        def one(t: Array) -> tuple[Array, Array]:
            moments = last_state(to_params(t, layout, switches), grid)
            return moments.mean[kept].T, jnp.moveaxis(moments.cov[kept][:, kept], -1, 0)

        return jax.lax.map(one, theta)

    return compiled(laws)


def roll_forward(layout: Layout, switches: Float[np.ndarray, " 2"], today: Today, outlook: Outlook) -> Ahead:
    """Survival and expected function of every draw of every patient under one outlook."""
    survival, function = _roll(layout)(
        jnp.asarray(switches), Today(*map(jnp.asarray, today)), Outlook(*map(jnp.asarray, outlook))
    )
    return Ahead(np.asarray(survival), np.asarray(function))


@lru_cache(maxsize=8)
def _roll(layout: Layout) -> Callable[..., Any]:
    """Program: survival and mean function, [interval, draw, patient] each."""

    def roll(switches: Array, today: Today, outlook: Outlook) -> tuple[Array, Array]:
        draws, patients = today.f.shape
        params = jax.vmap(lambda t: to_params(t, layout, switches))(today.theta)
        per_lane = params._replace(**{k: jnp.repeat(getattr(params, k), patients) for k in _SCALARS})
        push = (params.b[:, :, None] * outlook.stress[None]).sum(1).ravel()
        shape = (len(outlook.dt), draws, patients)
        dose = jnp.broadcast_to(outlook.dose[:, None], shape).reshape(len(outlook.dt), -1)
        start = (today.f.ravel(), today.s.ravel(), today.p.ravel())
        held = jnp.broadcast_to(outlook.held[None], (draws, patients)).ravel()
        survival, function = _lanes_forward(per_lane, start, outlook.dt, dose, (push, held))
        return survival.reshape(shape), function.reshape(shape)

    return compiled(roll)


_SCALARS = ("k_f", "r", "c", "a", "sig_f", "sig_s", "h0", "eta_f")


def _lanes_forward(
    params: Params,
    start: tuple[Lane, Lane, Lane],
    dt: Float[AnyArray, " interval"],
    dose: Float[AnyArray, "interval lane"],
    inputs: tuple[Lane, Lane],
) -> tuple[Float[Array, "interval lane"], Float[Array, "interval lane"]]:
    (f, s, p), (push, held) = start, inputs
    k_f, c, a, r, sig_f, sig_s = (getattr(params, name)[None] for name in ("k_f", "c", "a", "r", "sig_f", "sig_s"))
    law = transition(k_f, c + a * dose, r, (sig_f, sig_s), dt[:, None])

    def survive(moments: _Pair, days: Array) -> tuple[Lane, _Pair]:
        m_f, m_s, v_ff, v_fs, v_ss = moments
        log_z, mean, var = tilted_moments(
            m_f, v_ff, jnp.full_like(m_f, days), jnp.zeros_like(m_f), (params.h0, params.eta_f)
        )
        gain, kappa = (mean - m_f) / v_ff, (v_ff - var) / v_ff**2
        return log_z, _Pair(mean, m_s + v_fs * gain, var, v_fs * (1 - kappa * v_ff), v_ss - kappa * v_fs**2)

    def body(carry: tuple[_Pair, _Pair, Lane], step: tuple) -> tuple[tuple[_Pair, _Pair, Lane], tuple[Array, Array]]:
        at_risk, everyone, log_survival = carry
        transition_law, d, days = step
        push_f = params.k_f * (p * (d - held) - push)
        begun, at_risk = survive(at_risk, days / 2)
        ended, at_risk = survive(_move(at_risk, transition_law, push_f), days / 2)
        everyone = _move(everyone, transition_law, push_f)
        log_survival = log_survival + begun + ended
        return (at_risk, everyone, log_survival), (log_survival, everyone.m_f)

    point = _Pair(f, s, jnp.full_like(f, _POINT_VARIANCE), jnp.zeros_like(f), jnp.full_like(f, _POINT_VARIANCE))
    _, (log_survival, function) = jax.lax.scan(body, (point, point, jnp.zeros_like(f)), (law, dose, dt))
    return jnp.exp(log_survival), function


class _Pair(NamedTuple):
    """Gaussian law of (f, s) per lane."""

    m_f: Lane
    m_s: Lane
    v_ff: Lane
    v_fs: Lane
    v_ss: Lane


def _move(x: _Pair, law: Transition, push: Lane) -> _Pair:
    ff, fs, sf, ss, gf, gs, qff, qfs, qss = law
    return _Pair(
        ff * x.m_f + fs * x.m_s + gf * push,
        sf * x.m_f + ss * x.m_s + gs * push,
        ff * ff * x.v_ff + 2 * ff * fs * x.v_fs + fs * fs * x.v_ss + qff,
        ff * sf * x.v_ff + (ff * ss + fs * sf) * x.v_fs + fs * ss * x.v_ss + qfs,
        sf * sf * x.v_ff + 2 * sf * ss * x.v_fs + ss * ss * x.v_ss + qss,
    )
