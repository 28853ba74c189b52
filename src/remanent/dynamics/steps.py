"""Atomic steps of all patients, as data (`Grid`) and as what they do to the state under given parameters (`Steered`)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from remanent.dynamics.model import SENSITIVE, AnyArray, Params, transition

Lane = Float[AnyArray, " patient"]
Steps = Float[AnyArray, "step patient"]


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
        Exposure lost over the interval, all classes together.
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
    observed
        1 where `value` is an observation of `indicator` with sampling variance `se2` (standardised units).
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
    observed: Steps
    indicator: Int[AnyArray, "step patient"]
    value: Steps
    se2: Steps
    tether: Float[AnyArray, "covariate patient"]
    risk: Float[AnyArray, "risk patient"]
    reserve: Lane


def unobserved(grid: Grid) -> Grid:
    """The same design, nothing of the patient having been seen: neither measures nor events."""
    return without_events(grid._replace(observed=np.zeros_like(grid.dt)))


def without_events(grid: Grid) -> Grid:
    """The same, with nobody watched for relapse or dropout."""
    zero = grid.dt * 0
    return grid._replace(at_risk=zero, relapse=zero, dropout=zero)


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
    observed: Steps
    indicator: Int[AnyArray, "step patient"]
    value: Steps
    se2: Steps


def steered(params: Params, grid: Grid) -> Steered:
    """Everything the scan needs per step; the transitions of all steps are computed at once, outside it."""
    kappa = params.c + params.a * _weighted(params.alpha, grid.dose)
    strain = _weighted(params.b[:SENSITIVE], grid.stress[:SENSITIVE])
    later = 1.0 + _weighted(params.period - 1.0, grid.period)
    return Steered(
        law=tuple(transition(params.k_f, kappa, params.r, (params.sig_f, params.sig_s), grid.dt)),
        kappa=kappa,
        drug=params.k_f * _weighted(params.rho, grid.dose - grid.held[:, None]),
        strain=params.k_f * strain,
        ect_f=_weighted(params.ect_f, grid.ect),
        ect_s=_weighted(params.ect_s, grid.ect),
        ect_e=_weighted(params.ect_e, grid.ect),
        push_f=-params.k_f * _weighted(params.b[SENSITIVE:], grid.stress[SENSITIVE:]),
        push_s=jnp.broadcast_to(params.r * tethered(params, grid.tether)[None], grid.dt.shape),
        log_hazard=jnp.log(params.h0) + log_relative_hazard(params, grid.risk)[None] + jnp.log(later),
        **{k: getattr(grid, k) for k in Steered._fields if k in Grid._fields},
    )


def tethered(params: Params, tether: Float[AnyArray, "covariate patient"]) -> Lane:
    """Level to which structure is pulled back."""
    return (params.set_point[:, None] * tether).sum(0)


def log_relative_hazard(params: Params, risk: Float[AnyArray, "risk patient"]) -> Lane:
    """Log of each patient's hazard of relapse over that of a patient at the centre of every covariate."""
    return (params.eta_x[:, None] * risk).sum(0)


def sensitivity(params: Params, reserve: Lane) -> Lane:
    """Mean of q_i."""
    return jnp.exp(-params.lam * reserve)


def _weighted(weight: Float[AnyArray, " weight"], parts: Float[AnyArray, "part step patient"]) -> Steps:
    """Sum over parts; a single weight stands for all."""
    return (weight[:, None, None] * parts).sum(0)
