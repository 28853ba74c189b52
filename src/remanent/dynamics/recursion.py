"""The recursions of filter and smoother over atomic steps, all patients at once, for any form of the model (`Form`) that moves a Gaussian law.

The state of a patient is x = (f, s, p_i, g_f,i, g_s,i, q_i, m_i1 ... m_iJ): function, structure, and the linear random effects as constant states, which the
recursion so integrates out exactly. Arrays are structure-of-arrays with patients last, [step, patient] and [state, state, patient]; a step carries at most
one scalar observation, so no matrix is ever inverted. Relapse and dropout enter by an assumed-density update of f (Gauss-Hermite): the survival term
exp(-W (h_r + h_d)), W the trapezoid weight in days of the step, and h_r at a relapse or h_d at a dropout. The two-basin form has one more constant state, the
patient's tipping point, after q_i.

Every update has the form  m += P h g,  P -= kappa P h h' P  with scalars g, kappa; the smoother (Bryson-Frazier) needs nothing else.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from remanent.dynamics.hazard import hazards, tilted_moments
from remanent.dynamics.model import AnyArray, Params, Transition
from remanent.dynamics.steps import Grid, Lane, Steered, Steps, sensitivity, steered, without_events

F, S, P_GAIN, G_F, G_S, Q = 0, 1, 2, 3, 4, 5
MOVING = 2  # f and s move; p_i, g_f,i, g_s,i and q_i push them; every random effect is constant
START_SD = 0.1


class Moments(NamedTuple):
    """Gaussian law of the state in blocks, x = (f, s) and z the random effects, with the deterministic inputs carried along.

    Attributes
    ----------
    mean
        [state, patient].
    xx, xz, zz
        Covariance blocks; a transition leaves `zz` alone.
    withdrawal, trace
        w and e, [patient].
    """

    mean: Float[Array, "state patient"]
    xx: Float[Array, "2 2 patient"]
    xz: Float[Array, "2 effect patient"]
    zz: Float[Array, "effect effect patient"]
    withdrawal: Lane
    trace: Lane

    @property
    def cov(self) -> Float[Array, "state state patient"]:
        """The whole covariance."""
        low = jnp.concatenate([jnp.swapaxes(self.xz, 0, 1), self.zz], 1)
        return jnp.concatenate([jnp.concatenate([self.xx, self.xz], 1), low], 0)


class Form(NamedTuple):
    """What differs between forms of the model.

    Attributes
    ----------
    start
        Law of the state before the first step.
    steer
        What each step does, computed for all steps at once.
    predict
        The law after one step's time and jumps, and the top two rows of its (linearised) transition.
    """

    start: Callable[[Params, Grid], Moments]
    steer: Callable[[Params, Grid], Steered]
    predict: Callable[[Params, Moments, Steered], tuple[Moments, Array]]


class _Update(NamedTuple):
    """One scalar update, mean += P h gain, P -= kappa P h h' P: enough to run the smoother backwards over it."""

    h: Float[Array, "state patient"]
    gain: Lane
    kappa: Lane


class Path(NamedTuple):
    """What the forward pass leaves behind at each step, for the smoother: all arrays start with the axis step."""

    predicted: Moments
    filtered: Moments
    top: Float[AnyArray, "step 2 pushing patient"]
    hazard: _Update
    reading: _Update
    fixed: Float[AnyArray, "step patient"]


class Smoothed(NamedTuple):
    """Moments given all data of the patient, each [step, patient].

    Attributes
    ----------
    f_mean, f_sd, s_mean, s_sd
        Function and structure.
    fitted_mean, fitted_sd
        The step's indicator without its noise, standardised.
    withdrawal
        The withdrawal component.
    """

    f_mean: Steps
    f_sd: Steps
    s_mean: Steps
    s_sd: Steps
    fitted_mean: Steps
    fitted_sd: Steps
    withdrawal: Steps


def log_likelihood(form: Form, params: Params, grid: Grid) -> Lane:
    """Log marginal likelihood of each patient's observations and relapse or censoring."""

    def body(carry: tuple[Moments, Lane], step: Steered) -> tuple[tuple[Moments, Lane], None]:
        moments, total = carry
        after, gained, *_ = _update(params, form.predict(params, moments, step)[0], step)
        return (after, total + gained), None

    start = form.start(params, grid)
    (_, total), _ = jax.lax.scan(jax.checkpoint(body), (start, jnp.zeros(grid.dt.shape[1])), form.steer(params, grid))
    return total


def last_state(form: Form, params: Params, grid: Grid) -> Moments:
    """Filtered law of the state after each patient's last step."""

    def body(moments: Moments, step: Steered) -> tuple[Moments, None]:
        return _update(params, form.predict(params, moments, step)[0], step)[0], None

    return jax.lax.scan(body, form.start(params, grid), form.steer(params, grid))[0]


def smooth(form: Form, params: Params, grid: Grid) -> Smoothed:
    """Smoothed function and structure at every step (modified Bryson-Frazier; Bierman 1973, Int. J. Control 18:65)."""

    def forward(moments: Moments, step: Steered) -> tuple[Moments, Path]:
        predicted, top = form.predict(params, moments, step)
        after, _, hazard, reading = _update(params, predicted, step)
        fixed = _reading(params, after, step)[1]
        return after, Path(predicted, after, top, hazard, reading, fixed)

    _, path = jax.lax.scan(forward, form.start(params, grid), form.steer(params, grid))
    mean = path.filtered.mean[0]
    zero = jnp.zeros_like(mean), jnp.zeros((len(mean), *mean.shape))
    _, (mean, var) = jax.lax.scan(_backward, zero, path, reverse=True)
    sd = jnp.sqrt(jnp.maximum(var, 0.0))
    return Smoothed(mean[:, 0], sd[:, 0], mean[:, 1], sd[:, 1], mean[:, 2], sd[:, 2], path.filtered.withdrawal)


def replicate(form: Form, key: Array, params: Params, grid: Grid) -> Grid:
    """The same design with observations drawn from the model's own predictive law (events switched off): for expected information."""
    noise = jax.random.normal(key, grid.dt.shape)
    quiet = without_events(grid)

    def body(moments: Moments, inputs: tuple[Steered, Lane]) -> tuple[Moments, Lane]:
        step, z = inputs
        predicted = form.predict(params, moments, step)[0]
        h, fixed = _reading(params, predicted, step)
        expected = fixed + (h * predicted.mean).sum(0)
        spread = (_column(predicted, h) * h).sum(0) + step.se2 + params.sigma[step.indicator] ** 2
        value = expected + jnp.sqrt(spread) * z
        return _update(params, predicted, step._replace(value=value))[0], value

    _, value = jax.lax.scan(body, form.start(params, quiet), (form.steer(params, quiet), noise))
    return quiet._replace(value=jnp.where(grid.observed > 0, value, 0.0))


def linear_start(params: Params, grid: Grid) -> Moments:
    """F and s near 0, the random effects at their means."""
    return started(params, grid, jnp.zeros((0, grid.dt.shape[1])), jnp.zeros(0))


def started(
    params: Params, grid: Grid, more_mean: Float[Array, "more patient"], more_sd: Float[Array, " more"]
) -> Moments:
    """The same, with further random effects after q_i."""
    patients = grid.dt.shape[1]
    zero = jnp.zeros_like(params.p)
    effects = jnp.stack([zero, zero, params.p, zero + 1.0, params.mu_gs])
    own = jnp.zeros((params.mu.shape[0], patients))
    mean = jnp.concatenate([_to_all(effects, patients), sensitivity(params, grid.reserve)[None], more_mean, own])
    spread = jnp.stack([zero + START_SD, zero + START_SD, params.sd_p, params.sd_gf, params.sd_gs, params.sd_b])
    cov = _to_all(jnp.diag(jnp.concatenate([spread, more_sd, params.sd_mu]) ** 2), patients)
    none = jnp.zeros(patients)
    return Moments(mean, cov[:MOVING, :MOVING], cov[:MOVING, MOVING:], cov[MOVING:, MOVING:], none, none)


def _to_all(v: Array, patients: int) -> Array:
    return jnp.broadcast_to(v[..., None], (*v.shape, patients))


def linear_predict(params: Params, moments: Moments, step: Steered) -> tuple[Moments, Float[Array, "2 6 patient"]]:
    """Move the law by the step's own transition."""
    law = Transition(*step.law)
    push = law.gf * step.push_f + law.hf * step.push_s, law.gs * step.push_f + law.hs * step.push_s
    return moved(params, moments, step, (law, inputs(law, step), jnp.stack(push)))


def inputs(law: Transition, step: Steered) -> Float[Array, "2 effect patient"]:
    """What one unit of p_i, g_f,i, g_s,i and q_i adds to f and s over the step."""
    zero = jnp.zeros_like(law.ff)
    u_f = jnp.stack([law.gf * step.drug, step.ect_f, zero, -law.gf * step.strain])
    u_s = jnp.stack([law.gs * step.drug, zero, step.ect_s, -law.gs * step.strain])
    return jnp.stack([u_f, u_s])


def moved(
    params: Params, moments: Moments, step: Steered, by: tuple[Transition, Array, Array]
) -> tuple[Moments, Float[Array, "2 pushing patient"]]:
    """X' = Phi x + U z + push + noise for the first effects z, and the top two rows [Phi U] of the transition."""
    law, u, push = by
    mean, xz, zz, pushing = moments.mean, moments.xz, moments.zz, u.shape[1]
    phi = jnp.stack([jnp.stack([law.ff, law.fs]), jnp.stack([law.sf, law.ss])])
    top = jnp.concatenate([phi, u], 1)
    x = (top * mean[None, : MOVING + pushing]).sum(1) + push
    to_x = (phi[:, :, None] * moments.xx[None]).sum(1)
    to_x = to_x + (u[:, :, None] * jnp.swapaxes(xz[:, :pushing], 0, 1)[None]).sum(1)
    to_z = (phi[:, :, None] * xz[None]).sum(1) + (u[:, :, None] * zz[None, :pushing]).sum(1)
    noise = jnp.stack([jnp.stack([law.qff, law.qfs]), jnp.stack([law.qfs, law.qss])])
    xx = (to_x[:, None] * phi[None]).sum(2) + (to_z[:, None, :pushing] * u[None]).sum(2) + noise
    fade = step.dt / params.tau_w
    kept = jnp.where(fade > 1e-6, -jnp.expm1(-fade) / jnp.where(fade > 1e-6, fade, 1.0), 1.0)
    withdrawal = moments.withdrawal * jnp.exp(-fade) + params.omega * step.lost * kept
    trace = moments.trace * jnp.exp(-step.dt / params.tau_e) + step.ect_e
    return Moments(jnp.concatenate([x, mean[MOVING:]]), xx, to_z, zz, withdrawal, trace), top


LINEAR = Form(linear_start, steered, linear_predict)


def _update(params: Params, moments: Moments, step: Steered) -> tuple[Moments, Lane, _Update, _Update]:
    """Survival (and an event), then the observation: both rank-one updates in one pass over the covariance."""
    survived, hazard = _tilt(params, moments, step)
    to_f = jnp.concatenate([moments.xx[F], moments.xz[F]])
    mean = moments.mean + to_f * hazard.gain[None]
    h, fixed = _reading(params, moments, step)
    column = _column(moments, h) - to_f * (hazard.kappa * (h * to_f).sum(0))[None]
    var = (h * column).sum(0) + step.se2 + params.sigma[step.indicator] ** 2
    error = step.value - fixed - (h * mean).sum(0)
    kappa = step.observed / var
    log_density = -0.5 * step.observed * (jnp.log(2 * jnp.pi * var) + error**2 / var)
    after = moments._replace(
        mean=mean + column * (kappa * error)[None],
        xx=moments.xx
        - _outer(to_f[:MOVING], to_f[:MOVING], hazard.kappa)
        - _outer(column[:MOVING], column[:MOVING], kappa),
        xz=moments.xz
        - _outer(to_f[:MOVING], to_f[MOVING:], hazard.kappa)
        - _outer(column[:MOVING], column[MOVING:], kappa),
        zz=moments.zz
        - _outer(to_f[MOVING:], to_f[MOVING:], hazard.kappa)
        - _outer(column[MOVING:], column[MOVING:], kappa),
    )
    return after, survived + log_density, hazard, _Update(h, kappa * error, kappa)


def _outer(a: Array, b: Array, weight: Lane) -> Array:
    return (a * weight[None])[:, None] * b[None]


def _column(moments: Moments, h: Float[Array, "state patient"]) -> Float[Array, "state patient"]:
    """P h."""
    x, z = h[:MOVING], h[MOVING:]
    to_x = (moments.xx * x[None]).sum(1) + (moments.xz * z[None]).sum(1)
    to_z = (moments.xz * x[:, None]).sum(0) + (moments.zz * z[None]).sum(1)
    return jnp.concatenate([to_x, to_z])


def _tilt(params: Params, moments: Moments, step: Steered) -> tuple[Lane, _Update]:
    """Assumed-density update of f for surviving (and, at an event, for that event)."""
    mean, var = moments.mean[F], moments.xx[F, F]
    log_z, new_mean, new_var = tilted_moments(
        mean, var, step.at_risk, (step.relapse, step.dropout), hazards(params, step.log_hazard)
    )
    active = (step.at_risk > 0) | (step.relapse + step.dropout > 0)
    gain = jnp.where(active, (new_mean - mean) / var, 0.0)
    kappa = jnp.where(active, (var - new_var) / var**2, 0.0)
    h = jnp.zeros_like(moments.mean).at[F].set(1.0)
    return jnp.where(active, log_z, 0.0), _Update(h, gain, kappa)


def _reading(params: Params, moments: Moments, step: Steered) -> tuple[Float[Array, "state patient"], Lane]:
    """How the step's indicator reads the state: expected value = fixed + h·x."""
    j = step.indicator
    own = (jnp.arange(params.mu.shape[0])[:, None] == j[None]).astype(float)
    silent = jnp.zeros((moments.mean.shape[0] - MOVING - own.shape[0], own.shape[1]))
    h = jnp.concatenate([jnp.stack([params.l_f[j], params.l_s[j]]), silent, own])
    return h, params.mu[j] + params.l_e[j] * moments.trace + params.l_w[j] * moments.withdrawal


def _backward(carry: tuple[Array, Array], path: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Back over one step: smoothed mean and variance of f, s and the indicator at its end, then the adjoints before it."""
    lam, big = carry
    cov = path.filtered.cov
    mean = path.filtered.mean + (cov * lam[None]).sum(1)
    columns = jnp.stack([cov[F], cov[S], (cov * path.reading.h[None]).sum(1)])
    prior = jnp.stack([cov[F, F], cov[S, S], (columns[2] * path.reading.h).sum(0)])
    pulled = ((columns[:, :, None] * big[None]).sum(1) * columns).sum(1)
    fitted = path.fixed + (path.reading.h * mean).sum(0)
    found = jnp.stack([mean[F], mean[S], fitted]), prior - pulled
    predicted = path.predicted.cov
    tilted = predicted - _outer(predicted[F], predicted[F], path.hazard.kappa)
    lam, big = _before_update(lam, big, path.reading, tilted)
    lam, big = _before_update(lam, big, path.hazard, predicted)
    return _before_transition(lam, big, path.top), found


def _before_update(lam: Array, big: Array, update: _Update, cov: Array) -> tuple[Array, Array]:
    h, column = update.h, (cov * update.h[None]).sum(1)
    kappa = update.kappa
    new_lam = lam + h * (update.gain - kappa * (column * lam).sum(0))[None]
    left = big - (kappa[None] * h)[:, None] * (column[:, None] * big).sum(0)[None]
    both = left - (left * column[None]).sum(1)[:, None] * (kappa[None] * h)[None]
    return new_lam, both + _outer(h, h, kappa)


def _before_transition(lam: Array, big: Array, top: Float[Array, "2 pushing patient"]) -> tuple[Array, Array]:
    """Lam <- F' lam, big <- F' big F, where F is the identity but for its first two rows, `top`, in the first columns."""
    new_lam = _lift(top, lam[:, None])[:, 0]
    half = _lift(top, big)
    return new_lam, jnp.swapaxes(_lift(top, jnp.swapaxes(half, 0, 1)), 0, 1)


def _lift(
    top: Float[Array, "2 pushing patient"], v: Float[Array, "state column patient"]
) -> Float[Array, "state column patient"]:
    """F' v."""
    reach = top.shape[1]
    low = (top[:, :, None] * v[:MOVING, None]).sum(0).at[MOVING:].add(v[MOVING:reach])
    return jnp.concatenate([low, v[reach:]], 0)
