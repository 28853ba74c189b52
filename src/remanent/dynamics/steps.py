"""Atomic steps of all patients, as data (`Grid`) and as what they do to the state under given parameters (`Steered`)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from remanent.dynamics.compile import Tree, whole_loops
from remanent.dynamics.model import SENSITIVE, AnyArray, Lanes, Params, transition

Lane = Float[AnyArray, " patient"]
Steps = Float[AnyArray, "step patient"]
Slots = Float[AnyArray, "slot step patient"]
Read = Float[AnyArray, "step slot patient"]
PER_SLOT = ("observed", "indicator", "value", "se2", "beyond")
_AT_ONCE = 8192  # steps times patients
_VECTOR = 8  # patients: numbers of 64 bits in a register of 512


class Grid(NamedTuple):
    """Atomic steps of all patients; padded steps and patients have dt = 0 and every switch off.

    Attributes
    ----------
    day
        Day of the step's end (n/a for the mathematics; NaN in padding).
    dt
        Days since the step before.
    dose
        Mean exposure to each drug class over the interval (1: usual full dose), [class, step, patient].
    held
        The same at the patient's first record: function 0 is the level under it, so only exposure beyond it pushes function, [class, patient].
    lost
        Exposure lost over the interval: the falls of every class, summed; a class begun makes up for none stopped.
    stress
        Mean of each of `model.STRESSORS` over the interval, [stressor, step, patient].
    ect
        Share of the index course given at the step's end (1 / number of index sessions for each session), [placement, step, patient].
    at_risk
        Trapezoid weight (days) of the step for the cumulative hazards.
    period
        Share of that weight that lies in each later period of the hazard of relapse, [later period, step, patient].
    relapse, dropout
        1 where relapse, or dropout, occurs at the step's end.
    observed, indicator, value, se2, beyond
        What is read at the step's end, [slot, step, patient]: 1 where `value` is an observation of `indicator` with sampling variance `se2` (standardised
        units). At the end of a scale the truth lies beyond `value`: 1 at the upper, -1 at the lower end, 0 elsewhere (`censored`). Where there are as many
        slots as indicators, slot j reads indicator j.
    tether, risk
        Covariates of the level of structure, [covariate, patient], and of the hazard of relapse, [risk, patient].
    reserve
        Reserve of each patient, [patient].
    """

    day: Steps
    dt: Steps
    dose: Float[AnyArray, "class step patient"]
    held: Float[AnyArray, "class patient"]
    lost: Steps
    stress: Float[AnyArray, "stressor step patient"]
    ect: Float[AnyArray, "placement step patient"]
    at_risk: Steps
    period: Float[AnyArray, "later step patient"]
    relapse: Steps
    dropout: Steps
    observed: Slots
    indicator: Int[AnyArray, "slot step patient"]
    value: Slots
    se2: Slots
    beyond: Slots
    tether: Float[AnyArray, "covariate patient"]
    risk: Float[AnyArray, "risk patient"]
    reserve: Lane


def unobserved(grid: Grid) -> Grid:
    """The same design, nothing of the patient having been seen: neither measures nor events."""
    return without_events(grid._replace(**{name: getattr(grid, name)[:0] for name in PER_SLOT}))


def without_events(grid: Grid) -> Grid:
    """The same, with nobody watched for relapse or dropout."""
    zero = grid.dt * 0
    return grid._replace(at_risk=zero, relapse=zero, dropout=zero)


def without_patients(grid: Grid, known: Lane) -> Grid:
    """The same, nothing having been seen of the patients for whom `known` is 0 (1: all as it was)."""
    return grid._replace(**{k: getattr(grid, k) * known for k in ("observed", "at_risk", "relapse", "dropout")})


def in_parts(grid: Grid) -> Grid:
    """The same patients a part at a time, [part, ..., patient]; where they do not divide evenly, the last part is filled up with empty ones.

    What a pass back needs of the pass forward is kept for one part only. Where a loop is compiled as one function, a part is as many patients as fit into one
    register, and hardly anything leaves the processor; elsewhere, as many as make handing out its pieces worth while (docs/decisions/0068).
    """
    steps, lanes = grid.dt.shape
    width = _VECTOR if whole_loops() else -(-lanes // max(round(steps * lanes / _AT_ONCE), 1))
    parts = -(-lanes // width)

    def split(v: Array) -> Array:
        whole = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, parts * width - lanes)])
        return jnp.moveaxis(whole.reshape(*v.shape[:-1], parts, width), -2, 0)

    return Grid(*map(split, grid))


def by_parts(function: Callable[[Grid], Tree], grid: Grid) -> Tree:
    """`function(grid)`, whose arrays all end with the axis patient, worked out a part at a time."""
    lanes = grid.dt.shape[1]

    def joined(v: Array) -> Array:
        every = jnp.moveaxis(v, 0, -2)
        return every.reshape(*every.shape[:-2], every.shape[-2] * every.shape[-1])[..., :lanes]

    return jax.tree.map(joined, jax.lax.map(function, in_parts(grid)))


class Loads(NamedTuple):
    """Mean, loadings and variance beyond the sampling error, of indicators or of what slots read."""

    mu: AnyArray
    l_f: AnyArray
    l_s: AnyArray
    l_e: AnyArray
    l_w: AnyArray
    variance: AnyArray


def loads(params: Params) -> Loads:
    """Of every indicator, [indicator, lane]."""
    return Loads(*map(_columns, (params.mu, params.l_f, params.l_s, params.l_e, params.l_w, params.sigma**2)))


class Steered(NamedTuple):
    """What one step does to each patient, population parameters and covariates applied, [step, patient] each.

    Attributes
    ----------
    law
        Transition of (f, s), see `model.Transition`; empty where it depends on the state.
    kappa
        Rate of consolidation (1/day).
    drug, strain, ect_f, ect_s
        What p_i, -q_i, g_f,i and g_s,i are multiplied by: (k_f times) exposure and stress, shares of the course.
    push_f, push_s
        Inputs that nothing random multiplies: psychotherapy on f's target, the tether on s.
    ect_e, lost
        What e and w gain.
    log_hazard
        Log hazard of relapse at f = 0.
    loads
        What is known of the indicator that each slot reads, [step, slot, patient] each; empty where slot j always reads indicator j.
    se2
        Variance of each reading's own error.
    """

    law: tuple[Steps, ...]
    kappa: Steps
    dt: Steps
    drug: Steps
    strain: Steps
    ect_f: Steps
    ect_s: Steps
    ect_e: Steps
    push_f: Steps
    push_s: Steps
    lost: Steps
    log_hazard: Steps
    at_risk: Steps
    relapse: Steps
    dropout: Steps
    observed: Read
    indicator: Int[AnyArray, "step slot patient"]
    value: Read
    beyond: Read
    se2: Read
    loads: "tuple[()] | Loads"


def steered(params: Params, grid: Grid) -> Steered:
    """Everything the scan needs per step; the transitions of all steps are computed at once, outside it.

    Every parameter may have a further last axis `patient`.
    """
    k_f, r, c, a, h0 = (_row(v) for v in (params.k_f, params.r, params.c, params.a, params.h0))
    kappa = c + a * _weighted(params.alpha, grid.dose)
    strain = _weighted(params.b[:SENSITIVE], grid.stress[:SENSITIVE])
    later = 1.0 + _weighted(params.period - 1.0, grid.period)
    return Steered(
        law=tuple(transition(k_f, kappa, r, (_row(params.sig_f), _row(params.sig_s)), grid.dt)),
        kappa=kappa,
        drug=k_f * _weighted(params.rho, grid.dose - grid.held[:, None]),
        strain=k_f * strain,
        ect_f=_weighted(params.ect_f, grid.ect),
        ect_s=_weighted(params.ect_s, grid.ect),
        ect_e=_weighted(params.ect_e, grid.ect),
        push_f=-k_f * _weighted(params.b[SENSITIVE:], grid.stress[SENSITIVE:]),
        push_s=jnp.broadcast_to(r * tethered(params, grid.tether)[None], grid.dt.shape),
        log_hazard=jnp.log(h0) + log_relative_hazard(params, grid.risk)[None] + jnp.log(later),
        **{k: getattr(grid, k) for k in Steered._fields if k in Grid._fields and k not in PER_SLOT},
        **{k: jnp.swapaxes(getattr(grid, k), 0, 1) for k in PER_SLOT},
        loads=() if grid.value.shape[0] == params.mu.shape[0] else Loads(*(_by_slot(v, grid) for v in loads(params))),
    )


def _row(v: Lanes) -> Float[AnyArray, "1 lane"]:
    return jnp.reshape(v, (1, -1))


def _by_slot(by_indicator: Float[AnyArray, "indicator ..."], grid: Grid) -> Read:
    """What is known per indicator, for the indicator that each slot reads."""
    indicator = jnp.swapaxes(grid.indicator, 0, 1)
    out = jnp.zeros(indicator.shape)
    for j in range(by_indicator.shape[0]):
        out = jnp.where(indicator == j, by_indicator[j][None, None], out)
    return out


def tethered(params: Params, tether: Float[AnyArray, "covariate patient"]) -> Lane:
    """Level to which structure is pulled back."""
    return (_columns(params.set_point) * tether).sum(0)


def log_relative_hazard(params: Params, risk: Float[AnyArray, "risk patient"]) -> Lane:
    """Log of each patient's hazard of relapse over that of a patient at the centre of every covariate."""
    return (_columns(params.eta_x) * risk).sum(0)


def _columns(v: Float[AnyArray, "covariate ..."]) -> Float[AnyArray, "covariate lane"]:
    return v if v.ndim == 2 else v[:, None]


def sensitivity(params: Params, reserve: Lane) -> Lane:
    """Mean of q_i."""
    return jnp.exp(-params.lam * reserve)


def _weighted(weight: Float[AnyArray, "weight ..."], parts: Float[AnyArray, "part step patient"]) -> Steps:
    """Sum over parts; a single weight stands for all."""
    return (_columns(weight)[:, None] * parts).sum(0)
