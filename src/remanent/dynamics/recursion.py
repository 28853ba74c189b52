"""The recursions of filter and smoother over atomic steps, all patients at once, for any form of the model (`Form`) that moves a Gaussian law.

The state of a patient is x = (f, s, p_i, g_f,i, g_s,i, q_i, m_i1 ... m_iJ): function, structure, and the linear random effects as constant states, which the
recursion so integrates out exactly. Without `Params.sd_mu` the indicators have no level of the patient's own and no such states. Arrays are
structure-of-arrays with patients last, [step, patient] and [state, state, patient]; what is read at a step enters one scalar at a time, so no matrix is
ever inverted (`assimilate`). Relapse and dropout enter by an assumed-density update of f (Gauss-Hermite): the survival term
exp(-W (h_r + h_d)), W the trapezoid weight in days of the step, and h_r at a relapse or h_d at a dropout. The two-basin form has one more constant state, the
patient's tipping point, after q_i.

Every update has the form  m += P h g,  P -= kappa P h h' P  with scalars g, kappa; the smoother (Bryson-Frazier) needs nothing else.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from remanent.dynamics.assimilate import Reading, Updates, assimilate, draw, own_levels, updates, weights
from remanent.dynamics.gaussian import Law, Vector
from remanent.dynamics.hazard import hazards, tilt
from remanent.dynamics.model import AnyArray, Params, Transition
from remanent.dynamics.propagate import Move, propagate
from remanent.dynamics.steps import (
    Grid,
    Lane,
    Slots,
    Steered,
    Steps,
    loads,
    sensitivity,
    steered,
    unobserved,
    without_events,
)

F, S, P_GAIN, G_F, G_S, Q = 0, 1, 2, 3, 4, 5
MOVING = 2  # f and s move; p_i, g_f,i, g_s,i and q_i push them; every random effect is constant
START_SD = 0.1


class Moments(NamedTuple):
    """Gaussian law of the state, with the deterministic inputs carried along.

    Attributes
    ----------
    law
        f, s and the random effects: those that push f and s, and the indicators' own levels.
    withdrawal, trace
        w and e, [patient].
    """

    law: Law
    withdrawal: Lane
    trace: Lane

    @property
    def mean(self) -> Float[Array, "state patient"]:
        """Mean of the whole state."""
        return self.law.mean.whole

    @property
    def cov(self) -> Float[Array, "state state patient"]:
        """The whole covariance."""
        return self.law.cov


class Form(NamedTuple):
    """What differs between forms of the model.

    Attributes
    ----------
    start
        Law of the state before the first step.
    steer
        What each step does, computed for all steps at once.
    move
        What one step's time and jumps do to f and s, linearised where it must be.
    """

    start: Callable[[Params, Grid], Moments]
    steer: Callable[[Params, Grid], Steered]
    move: Callable[[Params, Moments, Steered], Move]


class Path(NamedTuple):
    """What the forward pass leaves behind at each step, for the smoother: all arrays start with the axis step.

    Attributes
    ----------
    filtered
        The law after the step's updates.
    top
        Rows of f and s of the transition, [Phi U].
    made
        The updates.
    h
        What each update reads, [update, state, patient]: f, then each slot's indicator.
    fixed
        What is known of each slot's indicator beforehand, [slot, patient].
    """

    filtered: Moments
    top: Float[AnyArray, "step 2 pushing patient"]
    made: Updates
    h: Float[AnyArray, "step update state patient"]
    fixed: Float[AnyArray, "step slot patient"]


class Smoothed(NamedTuple):
    """Moments given all data of the patient, each [step, patient] where no other axes are named.

    Attributes
    ----------
    f_mean, f_sd, s_mean, s_sd
        Function and structure.
    fitted_mean, fitted_sd
        The indicator of each slot without its noise, standardised, [slot, step, patient].
    withdrawal
        The withdrawal component.
    """

    f_mean: Steps
    f_sd: Steps
    s_mean: Steps
    s_sd: Steps
    fitted_mean: Slots
    fitted_sd: Slots
    withdrawal: Steps


def filtered(form: Form, params: Params, grid: Grid) -> tuple[Moments, Lane]:
    """Law of the state after each patient's last step, and log marginal likelihood of observations and relapse or censoring (nats)."""
    params = _read_levels(params, grid)

    def body(carry: tuple[Moments, Lane], step: Steered) -> tuple[tuple[Moments, Lane], None]:
        moments, total = carry
        after, gained = _update(params, _predict(params, moments, step, form.move(params, moments, step)), step)
        return (after, total + gained), None

    start = form.start(params, grid)
    found: tuple[Moments, Lane] = jax.lax.scan(body, (start, jnp.zeros(grid.dt.shape[1])), form.steer(params, grid))[0]
    return found


def unwatched(form: Form, params: Params, grid: Grid) -> tuple[Steps, Steps]:
    """Mean and variance of function at each step, [step, patient], nothing of the patient being seen."""
    params = _read_levels(params, unobserved(grid))

    def body(moments: Moments, step: Steered) -> tuple[Moments, tuple[Lane, Lane]]:
        after = _predict(params, moments, step, form.move(params, moments, step))
        return after, (after.law.mean.f, after.law.ff)

    found: tuple[Steps, Steps] = jax.lax.scan(body, form.start(params, grid), form.steer(params, grid))[1]
    return found


def _read_levels(params: Params, grid: Grid) -> Params:
    """Where no indicator is read, none has a level worth carrying."""
    return params if grid.value.shape[0] else params._replace(sd_mu=params.sd_mu[:0])


def smooth(form: Form, params: Params, grid: Grid) -> Smoothed:
    """Smoothed function and structure at every step (modified Bryson-Frazier; Bierman 1973, Int. J. Control 18:65)."""

    def forward(moments: Moments, step: Steered) -> tuple[Moments, Path]:
        move = form.move(params, moments, step)
        predicted = _predict(params, moments, step, move)
        readings, fixed = _readings(params, predicted, step)
        law, _, made = updates(predicted.law, _tilt(params, predicted, step)[1], readings)
        after = predicted._replace(law=law)
        top = jnp.stack([jnp.stack([move.ff, move.fs, *move.uf]), jnp.stack([move.sf, move.ss, *move.us])])
        return after, Path(after, top, made, _reads(readings, predicted), fixed)

    last, path = jax.lax.scan(forward, form.start(params, grid), form.steer(params, grid))
    zero = jnp.zeros_like(last.mean), jnp.zeros_like(last.cov)
    _, (mean, var) = jax.lax.scan(_backward, zero, path, reverse=True)
    sd = jnp.sqrt(jnp.maximum(var, 0.0))
    fitted, fitted_sd = (jnp.swapaxes(v[:, MOVING:], 0, 1) for v in (mean, sd))
    return Smoothed(mean[:, F], sd[:, F], mean[:, S], sd[:, S], fitted, fitted_sd, path.filtered.withdrawal)


def replicate(form: Form, noise: Slots, params: Params, grid: Grid) -> Grid:
    """The same design with observations drawn from the model's own predictive law (events switched off) by standard normal `noise`."""
    quiet = without_events(grid._replace(beyond=grid.beyond * 0))

    def body(moments: Moments, inputs: tuple[Steered, Array]) -> tuple[Moments, Array]:
        step, z = inputs
        predicted = _predict(params, moments, step, form.move(params, moments, step))
        readings, fixed = _readings(params, predicted, step)
        none = jnp.zeros_like(step.dt)
        law, values = draw(predicted.law, (none, none), readings, z)
        return predicted._replace(law=law), fixed + jnp.stack(values)

    _, value = jax.lax.scan(body, form.start(params, quiet), (form.steer(params, quiet), jnp.swapaxes(noise, 0, 1)))
    return quiet._replace(value=jnp.where(grid.observed > 0, jnp.swapaxes(value, 0, 1), 0.0))


def linear_start(params: Params, grid: Grid) -> Moments:
    """F and s near 0, the random effects at their means."""
    return started(params, grid, jnp.zeros((0, grid.dt.shape[1])), ())


def started(params: Params, grid: Grid, more_mean: Float[Array, "more patient"], more_sd: Sequence[Array]) -> Moments:
    """The same, with further random effects after q_i."""
    patients = grid.dt.shape[1]
    means = [0.0, 0.0, params.p, 1.0, params.mu_gs, sensitivity(params, grid.reserve), *more_mean]
    sds = [START_SD, START_SD, params.sd_p, params.sd_gf, params.sd_gs, params.sd_b, *more_sd]
    (f, s, *effects), (sd_f, sd_s, *spread), levels = (
        [jnp.broadcast_to(jnp.asarray(v, float), patients) for v in each]
        for each in (means, sds, [params.sd_mu[j] for j in range(params.sd_mu.shape[0])])
    )
    none, push, own = jnp.zeros(patients), jnp.zeros((len(effects), patients)), jnp.zeros((len(levels), patients))
    law = Law(
        mean=Vector(f, s, jnp.stack(effects), own),
        ff=sd_f**2, fs=none, ss=sd_s**2,
        fz=push, sz=push, fm=own, sm=own,
        zz=_diagonal(spread, patients), mz=own[:, None] * push[None], mm=_diagonal(levels, patients),
    )  # fmt: skip
    return Moments(law, none, none)


def _diagonal(sds: Sequence[Array], patients: int) -> Float[Array, "state state patient"]:
    sd = jnp.stack(sds) if sds else jnp.zeros((0, patients))
    return jnp.eye(len(sds))[..., None] * sd[None] ** 2


def linear_move(_params: Params, _moments: Moments, step: Steered) -> Move:
    """The step's own transition."""
    law = Transition(*step.law)
    push = law.gf * step.push_f + law.hf * step.push_s, law.gs * step.push_f + law.hs * step.push_s
    return moved(law, inputs(law, step), push)


Inputs = tuple[tuple[Lane, ...], tuple[Lane, ...]]


def inputs(law: Transition, step: Steered) -> Inputs:
    """What one unit of p_i, g_f,i, g_s,i and q_i adds to f, and to s, over the step."""
    zero = jnp.zeros_like(step.dt)
    u_f = (law.gf * step.drug, step.ect_f, zero, -law.gf * step.strain)
    u_s = (law.gs * step.drug, zero, step.ect_s, -law.gs * step.strain)
    return u_f, u_s


def moved(law: Transition, u: Inputs, push: tuple[Lane, Lane]) -> Move:
    """X' = Phi x + U z + push + noise."""
    u_f, u_s = (jnp.stack(each) for each in u)
    return Move(law.ff, law.fs, law.sf, law.ss, u_f, u_s, *push, law.qff, law.qfs, law.qss)


LINEAR = Form(linear_start, steered, linear_move)


def _predict(params: Params, moments: Moments, step: Steered, move: Move) -> Moments:
    """The law after the step's time and jumps, and withdrawal and trace with it."""
    fade = step.dt / params.tau_w
    kept = jnp.where(fade > 1e-6, -jnp.expm1(-fade) / jnp.where(fade > 1e-6, fade, 1.0), 1.0)
    withdrawal = moments.withdrawal * jnp.exp(-fade) + params.omega * step.lost * kept
    trace = moments.trace * jnp.exp(-step.dt / params.tau_e) + step.ect_e
    return Moments(propagate(moments.law, move), withdrawal, trace)


def _update(params: Params, moments: Moments, step: Steered) -> tuple[Moments, Lane]:
    """Survival (and an event), then the step's readings."""
    survived, tilt = _tilt(params, moments, step)
    law, density = assimilate(moments.law, tilt, _readings(params, moments, step)[0])
    return moments._replace(law=law), survived + density


def _tilt(params: Params, moments: Moments, step: Steered) -> tuple[Lane, tuple[Lane, Lane]]:
    """Assumed-density update of f for surviving (and, at an event, for that event): log probability (nats), gain and kappa."""
    law, events = moments.law, (step.relapse, step.dropout)
    log_z, gain, kappa = tilt(law.mean.f, law.ff, step.at_risk, events, hazards(params, step.log_hazard))
    return log_z, (gain, kappa)


def _readings(
    params: Params, moments: Moments, step: Steered
) -> tuple[tuple[Reading, ...], Float[Array, "slot patient"]]:
    """What is read, and what is known of it beforehand."""
    of = step.loads or loads(params)
    fixed = of.mu + of.l_e * moments.trace[None] + of.l_w * moments.withdrawal[None]
    l_f, l_s, noise = (jnp.broadcast_to(v, step.value.shape) for v in (of.l_f, of.l_s, of.variance + step.se2))
    owns = own_levels(step.indicator, params.sd_mu.shape[0], params.mu.shape[0])
    slots = zip(l_f, l_s, owns, noise, step.value - fixed, step.observed, step.beyond, strict=True)
    return tuple(Reading(*one) for one in slots), fixed


def _reads(readings: tuple[Reading, ...], moments: Moments) -> Float[Array, "update state patient"]:
    """H of every update: f, then each slot."""
    zero = jnp.zeros_like(moments.trace)
    nothing, levels = jnp.zeros_like(moments.law.fz), moments.law.fm
    first = Vector(zero + 1, zero, nothing, jnp.zeros_like(levels)).whole
    each = [
        Vector(r.f, r.s, nothing, jnp.broadcast_to(weights(r.own, len(levels)), levels.shape)).whole for r in readings
    ]
    return jnp.stack([first, *each])


def _outer(a: Array, b: Array, weight: Lane) -> Array:
    return (a * weight[None])[:, None] * b[None]


def _backward(carry: tuple[Array, Array], path: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Back over one step: smoothed mean and variance of f, s and each slot's indicator at its end, then the adjoints before it."""
    lam, big = carry
    cov = path.filtered.cov
    mean = path.filtered.mean + (cov * lam[None]).sum(1)
    slots = path.h[1:]
    columns = jnp.concatenate([cov[F][None], cov[S][None], (cov[None] * slots[:, None]).sum(2)])
    fitted = path.fixed + (slots * mean[None]).sum(1)
    prior = jnp.concatenate([cov[F, F][None], cov[S, S][None], (columns[MOVING:] * slots).sum(1)])
    pulled = ((columns[:, :, None] * big[None]).sum(1) * columns).sum(1)
    found = jnp.concatenate([mean[:MOVING], fitted]), prior - pulled
    made = path.made
    for k in reversed(range(len(made.kappa))):
        lam, big = _before_update(lam, big, path.h[k], (made.column[k].whole, made.kappa[k], made.gain[k]))
    return _before_transition(lam, big, path.top), found


def _before_update(lam: Array, big: Array, h: Array, update: tuple[Array, Lane, Lane]) -> tuple[Array, Array]:
    column, kappa, gain = update
    new_lam = lam + h * (gain - kappa * (column * lam).sum(0))[None]
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
