"""Roll a known state forward: probability of no relapse and expected states under given doses. One kernel for every plan, patient and draw.

Given (f, s) and the random effects today, function and structure are Gaussian ahead; survival is the running product of the assumed-density normalisers of
`hazard.tilted_moments` with trapezoid weights, so future diffusion is integrated over and only what is unknown today is left to the draws.

Two laws of the event are kept. `survival` asks about relapse in a patient who is followed up: dropout ends the record, not the course, so it does not censor.
`incidence` is the share in which a relapse would be seen, dropout competing.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import compiled
from remanent.dynamics.hazard import Hazards, relapse_share, tilted_moments
from remanent.dynamics.model import SENSITIVE, AnyArray, FormName, Params, Transition, transition
from remanent.dynamics.pointwise import passed
from remanent.dynamics.priors import Layout, to_params
from remanent.dynamics.recursion import G_F, G_S, P_GAIN, F, Q, S
from remanent.dynamics.steps import Grid, log_relative_hazard, tethered
from remanent.dynamics.two_basin import THETA, bend, transition_about

POINT_VARIANCE = 1e-10
Lane = Float[AnyArray, " lane"]


class Today(NamedTuple):
    """Draws of what is unknown today: population parameters theta [draw, param] and each patient's (f, s) and random effects, [draw, patient].

    `tipping` is the patient's tipping point of structure; None in the linear form, which has none.
    """

    theta: Float[AnyArray, "draw param"]
    f: Float[AnyArray, "draw patient"]
    s: Float[AnyArray, "draw patient"]
    p: Float[AnyArray, "draw patient"]
    g_f: Float[AnyArray, "draw patient"]
    g_s: Float[AnyArray, "draw patient"]
    q: Float[AnyArray, "draw patient"]
    tipping: Float[AnyArray, "draw patient"] | None = None

    def of(self, patients: slice | AnyArray) -> "Today":
        """The same draws of some patients."""
        return Today(self.theta, *(None if v is None else v[:, patients] for v in self[1:]))


class Ahead(NamedTuple):
    """At the end of each interval, [interval, draw, patient].

    Attributes
    ----------
    survival
        Probability of no relapse so far in a patient who is followed up.
    incidence
        Probability that a relapse has been seen, dropout competing; 1 - survival where dropout has no hazard.
    function, structure
        Means of f and s whatever happens; minus `Today.tipping`, structure is the distance to the tipping point.
    """

    survival: Float[np.ndarray, "interval draw patient"]
    incidence: Float[np.ndarray, "interval draw patient"]
    function: Float[np.ndarray, "interval draw patient"]
    structure: Float[np.ndarray, "interval draw patient"]


class Outlook(NamedTuple):
    """The course to roll through.

    Attributes
    ----------
    dt
        Interval lengths (days).
    dose
        Mean exposure to each drug class of the design.
    held
        Exposure at the first record.
    stress
        Mean of each of `model.STRESSORS`; psychotherapy beyond that at the first record.
    ect
        Share of the index course given at the interval's end, by placement.
    period
        Share of the interval in each later period of the hazard of relapse.
    tether, risk
        Covariates of the patients, as in `Grid`.
    """

    dt: Float[AnyArray, " interval"]
    dose: Float[AnyArray, "class interval patient"]
    held: Float[AnyArray, "class patient"]
    stress: Float[AnyArray, "stressor interval patient"]
    ect: Float[AnyArray, "placement interval patient"]
    period: Float[AnyArray, "later interval patient"]
    tether: Float[AnyArray, "covariate patient"]
    risk: Float[AnyArray, "risk patient"]

    def of(self, patients: AnyArray) -> "Outlook":
        """The courses of some patients."""
        return Outlook(self.dt, *(v[..., patients] for v in self[1:]))


def draw_today(
    layout: Layout,
    theta: Float[AnyArray, "draw param"],
    switches: Float[np.ndarray, " switch"],
    grid: Grid,
    rng: np.random.Generator,
    among: tuple[int, int] | None = None,
) -> tuple[Today, Float[np.ndarray, " draw"]]:
    """For each draw of theta, one draw of every patient's state from its filtered law, and the log likelihood of all data (nats).

    `among`: lane and number of lanes of a cohort's grid; every patient gets the random numbers that the patient of that lane gets there.
    """
    found, kept = passed(layout, switches, np.asarray(theta), grid), len(KEPT[layout.form])
    root = np.linalg.cholesky(found.cov[..., :kept, :kept] + 1e-12 * np.eye(kept))
    mean = found.mean[..., :kept]
    noise = rng.standard_normal((len(theta), among[1] if among else mean.shape[1], kept, 1))
    x = mean + (root @ (noise[:, [among[0]]] if among else noise))[..., 0]
    return Today(theta, *np.moveaxis(x, -1, 0)), found.log_lik.sum(axis=1)


# The states that `Today` keeps, the first of both forms.
KEPT: Mapping[FormName, tuple[int, ...]] = {
    "linear": (F, S, P_GAIN, G_F, G_S, Q),
    "two-basin": (F, S, P_GAIN, G_F, G_S, Q, THETA),
}


def roll_forward(layout: Layout, switches: Float[np.ndarray, " switch"], today: Today, outlook: Outlook) -> Ahead:
    """Survival and expected states of every draw of every patient under one outlook."""
    found = _roll(layout)(jnp.asarray(switches), *jax.tree.map(jnp.asarray, (today, outlook)))
    return Ahead(*map(np.asarray, found))


@lru_cache(maxsize=8)
def _roll(layout: Layout) -> Callable[..., Any]:
    """Program: the fields of `Ahead`, every draw of every patient a lane of its own."""
    competing = "hd0" in layout.names

    def roll(switches: Array, today: Today, outlook: Outlook) -> tuple[Array, ...]:
        params = jax.vmap(lambda t: to_params(t, layout, switches))(today.theta)
        lanes, course = by_lane(params, today, outlook)
        found = _lanes_forward(lanes, course, competing=competing)
        return tuple(v.reshape(len(outlook.dt), *today.f.shape) for v in found)

    return compiled(roll)


class _Lanes(NamedTuple):
    """One draw of one patient each, [lane]: what stays as it is."""

    f: Lane
    s: Lane
    hazard: Hazards
    tipping: Lane | None


class Course(NamedTuple):
    """What each interval does to each lane, [interval, lane], and its length [interval]; without `law`, `rates` (k_f, r, kappa, sig_f, sig_s) make it."""

    law: tuple[Array, ...]
    rates: tuple[Array, ...]
    push_f: Array
    push_s: Array
    jump_f: Array
    jump_s: Array
    log_hazard: Array
    dt: Array


def by_lane(params: Params, today: Today, outlook: Outlook) -> tuple[_Lanes, Course]:
    """Parameters [draw] and outlooks [patient] combined; lanes run over patients within draws."""
    intervals, (draws, patients) = len(outlook.dt), today.f.shape

    def flat(v: Array) -> Array:
        return jnp.broadcast_to(v, (intervals, draws, patients)).reshape(intervals, -1)

    def per_draw(v: Array) -> Array:
        return v[None, :, None]

    def mixed(weight: Float[Array, "draw weight"], parts: Float[Array, "part interval patient"]) -> Array:
        return (weight.T[:, None, :, None] * parts[:, :, None]).sum(0)

    k_f, r = per_draw(params.k_f), per_draw(params.r)
    drug = mixed(params.rho, outlook.dose - outlook.held[:, None])
    strain = mixed(params.b[:, :SENSITIVE], outlook.stress[:SENSITIVE])
    talk = mixed(params.b[:, SENSITIVE:], outlook.stress[SENSITIVE:])
    kappa = per_draw(params.c) + per_draw(params.a) * mixed(params.alpha, outlook.dose)
    later = jnp.log(1.0 + mixed(params.period - 1.0, outlook.period))
    relative = jax.vmap(log_relative_hazard, (0, None))(params, outlook.risk)
    level = jax.vmap(tethered, (0, None))(params, outlook.tether)
    each = {k: jnp.repeat(getattr(params, k), patients) for k in ("eta_f", "hd0", "eta_d")}
    log_h0 = (jnp.log(params.h0)[:, None] + relative).ravel()
    rates = tuple(map(flat, (k_f, r, kappa, per_draw(params.sig_f), per_draw(params.sig_s))))
    linear = today.tipping is None
    course = Course(
        law=tuple(transition(rates[0], rates[2], rates[1], (rates[3], rates[4]), outlook.dt[:, None]))
        if linear
        else (),
        rates=() if linear else rates,
        push_f=flat(k_f * (today.p[None] * drug - today.q[None] * strain - talk)),
        push_s=flat(r * level[None]),
        jump_f=flat(mixed(params.ect_f, outlook.ect) * today.g_f[None]),
        jump_s=flat(mixed(params.ect_s, outlook.ect) * today.g_s[None]),
        log_hazard=log_h0[None] + flat(later),
        dt=outlook.dt,
    )
    hazard = Hazards(log_h0, each["eta_f"], each["hd0"], each["eta_d"])
    tipping = None if today.tipping is None else today.tipping.ravel()
    return _Lanes(today.f.ravel(), today.s.ravel(), hazard, tipping), course


class _Pair(NamedTuple):
    """Gaussian law of (f, s) per lane."""

    m_f: Lane
    m_s: Lane
    v_ff: Lane
    v_fs: Lane
    v_ss: Lane


class _Watched(NamedTuple):
    """Those without an event so far: their law, the log of their share, and the share seen to relapse."""

    law: _Pair
    log_share: Lane
    relapsed: Lane


def _lanes_forward(lanes: _Lanes, course: Course, *, competing: bool) -> tuple[Array, ...]:
    def body(carry: tuple, step: Course) -> tuple[tuple, tuple[Array, ...]]:
        everyone, *watched = carry
        hazard = lanes.hazard._replace(log_relapse=step.log_hazard)
        each = (hazard._replace(dropout=jnp.zeros_like(hazard.dropout)), hazard)
        after = [_through(w, h, step, lanes.tipping) for w, h in zip(watched, each, strict=False)]
        everyone = _move(everyone, step, lanes.tipping)
        survival = jnp.exp(after[0].log_share)
        return (everyone, *after), (survival, after[-1].relapsed, everyone.m_f, everyone.m_s)

    f, zero = lanes.f, jnp.zeros_like(lanes.f)
    point = _Pair(f, lanes.s, zero + POINT_VARIANCE, zero, zero + POINT_VARIANCE)
    watched = (_Watched(point, zero, zero),) * (2 if competing else 1)
    found: tuple[Array, ...] = jax.lax.scan(body, (point, *watched), course)[1]
    return found


def _through(watched: _Watched, hazard: Hazards, step: Course, tipping: Lane | None) -> _Watched:
    begun = _survive(watched, hazard, step.dt / 2)
    return _survive(begun._replace(law=_move(begun.law, step, tipping)), hazard, step.dt / 2)


def _survive(watched: _Watched, hazard: Hazards, days: Array) -> _Watched:
    m_f, m_s, v_ff, v_fs, v_ss = watched.law
    zero = jnp.zeros_like(m_f)
    log_z, mean, var = tilted_moments(m_f, v_ff, zero + days, (zero, zero), hazard)
    gain, kappa = (mean - m_f) / v_ff, (v_ff - var) / v_ff**2
    law = _Pair(mean, m_s + v_fs * gain, var, v_fs * (1 - kappa * v_ff), v_ss - kappa * v_fs**2)
    relapsed = jnp.exp(watched.log_share) * relapse_share(m_f, v_ff, zero + days, hazard)
    return _Watched(law, watched.log_share + log_z, watched.relapsed + relapsed)


def _move(x: _Pair, step: Course, tipping: Lane | None) -> _Pair:
    law, push_s = (Transition(*step.law), step.push_s) if tipping is None else _bent(x, step, tipping)
    ff, fs, sf, ss, gf, gs, hf, hs, qff, qfs, qss = law
    return _Pair(
        ff * x.m_f + fs * x.m_s + gf * step.push_f + hf * push_s + step.jump_f,
        sf * x.m_f + ss * x.m_s + gs * step.push_f + hs * push_s + step.jump_s,
        ff * ff * x.v_ff + 2 * ff * fs * x.v_fs + fs * fs * x.v_ss + qff,
        ff * sf * x.v_ff + (ff * ss + fs * sf) * x.v_fs + fs * ss * x.v_ss + qfs,
        sf * sf * x.v_ff + 2 * sf * ss * x.v_fs + ss * ss * x.v_ss + qss,
    )


def _bent(x: _Pair, step: Course, tipping: Lane) -> tuple[Transition, Array]:
    """Transition of the two-basin form linearised at the middle of the interval, and the input to s; the tipping point is known in each lane."""
    k_f, r, kappa, *sig = step.rates
    now, half = bend(x.m_s, x.v_ss, tipping), step.dt / 2
    m = x.m_s + half * (kappa * (x.m_f - x.m_s) - r * now.level)
    var = x.v_ss + half * (2 * (kappa * x.v_fs - (kappa + r * now.by_s) * x.v_ss) + sig[1] ** 2)
    there = bend(m, jnp.maximum(var, x.v_ss / 2), tipping)
    law, level, by_theta = transition_about(
        (k_f, r, (sig[0], sig[1])), kappa, (there, m, tipping), jnp.zeros_like(m) + step.dt
    )
    return law, level + by_theta * tipping
