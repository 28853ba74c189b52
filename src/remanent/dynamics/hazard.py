"""Relapse and dropout as competing events whose hazards depend on function: a Gaussian law tilted by survival and by an event."""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import island
from remanent.dynamics.gaussian import total
from remanent.dynamics.model import AnyArray, Params

Lane = Float[AnyArray, " lane"]
_HERMITE_X, _HERMITE_W = np.polynomial.hermite.hermgauss(9)
_UNIT = np.sqrt(2) * _HERMITE_X
_LOG_WEIGHT = np.log(_HERMITE_W / np.sqrt(np.pi))


class Hazards(NamedTuple):
    """Hazard of relapse exp(log_relapse - eta_f f) and of dropout dropout exp(-eta_d f); `dropout` may be 0."""

    log_relapse: Lane
    eta_f: Lane
    dropout: Lane
    eta_d: Lane

    def at(self, f: Float[AnyArray, "node patient"]) -> tuple[Array, Array]:
        """Log hazard of relapse and of dropout (where there is one) at each value of f."""
        log_dropout = jnp.log(jnp.where(self.dropout > 0, self.dropout, 1.0))
        return self.log_relapse[None] - self.eta_f[None] * f, log_dropout[None] - self.eta_d[None] * f

    def total(self, f: Float[AnyArray, "node patient"]) -> Array:
        """Sum of the two hazards."""
        relapse, dropout = self.at(f)
        return jnp.exp(relapse) + (self.dropout > 0)[None] * jnp.exp(dropout)


def hazards(params: Params, log_relapse: Lane) -> Hazards:
    """Both hazards, one of each per lane."""
    each = (jnp.broadcast_to(v, log_relapse.shape) for v in (params.eta_f, params.hd0, params.eta_d))
    return Hazards(log_relapse, *each)


def tilted_moments(
    mean: Lane, var: Lane, weight: Lane, events: tuple[Lane, Lane], hazard: Hazards
) -> tuple[Lane, Lane, Lane]:
    """Log normaliser, mean and variance of N(f; mean, var) exp(-weight (h_r + h_d)) h_r^relapse h_d^dropout; Gauss-Hermite, 9 nodes."""
    log_z, nodes = island(_shares, _Seen(mean, var, weight, *events, hazard))
    first, spread = island(_moments, nodes.share)
    return log_z, mean + jnp.sqrt(var) * first, var * spread


class Tilt(NamedTuple):
    """The tilted law as an update of f by itself: log normaliser (nats), mean += var gain, variance -= var² kappa."""

    log_z: Lane
    gain: Lane
    kappa: Lane


class _Seen(NamedTuple):
    """What a tilt starts from; the events are data, which no gradient reaches."""

    mean: Lane
    var: Lane
    at_risk: Lane
    relapse: Lane
    dropout: Lane
    hazard: Hazards


class _Nodes(NamedTuple):
    """Of each node, [node, lane]: its share p of the tilted law, and both hazards there (1/day)."""

    share: Array
    relapse: Array
    dropout: Array


@jax.custom_vjp
def tilt(mean: Lane, var: Lane, at_risk: Lane, events: tuple[Lane, Lane], hazard: Hazards) -> Tilt:
    """`tilted_moments` as gain and kappa, with its gradient written out; no update where nobody is at risk and nothing happens.

    With u the nodes in sd of f, p their shares of the tilted law, A = relapse - at_risk h_r and B = dropout - at_risk h_d at each node,

        gain = E_p[u] / sd,  kappa = (1 - Var_p[u]) / var,  d log_z = E_p[A d log h_r + B d log h_d - (h_r + h_d) d at_risk].
    """
    return _tilted(mean, var, at_risk, events, hazard)[0]


def _tilted(mean: Lane, var: Lane, at_risk: Lane, events: tuple[Lane, Lane], hazard: Hazards) -> tuple[Tilt, _Seen]:
    seen = _Seen(mean, var, at_risk, *events, hazard)
    log_z, nodes = island(_shares, seen)
    first, spread = island(_moments, nodes.share)
    made = Tilt(log_z, first / jnp.sqrt(var), (1 - spread) / var)
    active = _active(seen)
    return Tilt(*(jnp.where(active, v, 0.0) for v in made)), seen


def _active(seen: _Seen) -> Array:
    return (seen.at_risk > 0) | (seen.relapse + seen.dropout > 0)


def _shares(seen: _Seen) -> tuple[Lane, _Nodes]:
    hazard = seen.hazard
    f = seen.mean[None] + jnp.sqrt(seen.var)[None] * _UNIT[:, None]
    log_relapse, log_dropout = hazard.at(f)
    relapse, dropout = jnp.exp(log_relapse), (hazard.dropout > 0)[None] * jnp.exp(log_dropout)
    log_w = seen.relapse[None] * log_relapse + seen.dropout[None] * log_dropout
    log_w = log_w - seen.at_risk[None] * (relapse + dropout) + _LOG_WEIGHT[:, None]
    top = reduce(jnp.maximum, [log_w[k] for k in range(len(_UNIT))])
    w = island(jnp.exp, log_w - top[None])
    z = total([w[k] for k in range(len(_UNIT))])
    return top + jnp.log(z), _Nodes(w / z[None], relapse, dropout)


def _moments(share: Array) -> tuple[Lane, Lane]:
    """Mean and variance of u."""
    first = total([u * share[k] for k, u in enumerate(_UNIT)])
    return first, total([u * u * share[k] for k, u in enumerate(_UNIT)]) - first * first


def _tilted_back(seen: _Seen, to: Tilt) -> tuple[Lane, Lane, Lane, None, Hazards]:
    active = _active(seen)
    to = Tilt(*(jnp.where(active, v, 0.0) for v in to))
    nodes = island(_shares, seen)[1]
    first, spread = island(_moments, nodes.share)
    weight = island(_node_weights, nodes, (first, spread), seen.var, to)
    (by_relapse, by_relapse_u), (by_dropout, by_dropout_u), to_at_risk = island(_slopes, seen, nodes, weight)
    hazard, sd = seen.hazard, jnp.sqrt(seen.var)
    to_mean = -hazard.eta_f * by_relapse - hazard.eta_d * by_dropout
    through_sd = (-hazard.eta_f * by_relapse_u - hazard.eta_d * by_dropout_u) / (2 * sd)
    to_var = through_sd - to.gain * first / (2 * sd * seen.var) - to.kappa * (1 - spread) / seen.var**2
    present = hazard.dropout > 0
    to_hazard = Hazards(
        by_relapse,
        -(seen.mean * by_relapse + sd * by_relapse_u),
        jnp.where(present, by_dropout / jnp.where(present, hazard.dropout, 1.0), 0.0),
        -(seen.mean * by_dropout + sd * by_dropout_u),
    )
    return to_mean, to_var, to_at_risk, None, to_hazard


def _node_weights(nodes: _Nodes, moments: tuple[Lane, Lane], var: Lane, to: Tilt) -> Array:
    """The gradient in the log of each node's weight, [node, lane]."""
    first, spread = moments
    away = _UNIT[:, None] - first[None]
    by_first, by_spread = to.gain / jnp.sqrt(var), -to.kappa / var
    return nodes.share * (to.log_z[None] + by_first[None] * away + by_spread[None] * (away * away - spread[None]))


def _slopes(seen: _Seen, nodes: _Nodes, weight: Array) -> tuple[tuple[Lane, Lane], tuple[Lane, Lane], Lane]:
    """Sums over the nodes of the weights times A, and times A u; the same of B; and of the slope in `at_risk`."""
    sums, rate = [], []
    for event, hazard in ((seen.relapse, nodes.relapse), (seen.dropout, nodes.dropout)):
        slope = [weight[k] * (event - seen.at_risk * hazard[k]) for k in range(len(_UNIT))]
        sums.append((total(slope), total([u * v for u, v in zip(_UNIT, slope, strict=True)])))
        rate.append(total([weight[k] * hazard[k] for k in range(len(_UNIT))]))
    return sums[0], sums[1], -rate[0] - rate[1]


tilt.defvjp(_tilted, _tilted_back)


def relapse_share(mean: Lane, var: Lane, weight: Lane, hazard: Hazards) -> Lane:
    """Probability of a relapse during `weight` days, dropout competing: E[h_r / (h_r + h_d) (1 - exp(-weight (h_r + h_d)))] over N(mean, var)."""
    f = mean[None] + jnp.sqrt(var)[None] * _UNIT[:, None]
    both = hazard.total(f)
    share = -jnp.expm1(-weight[None] * both) * jnp.exp(hazard.at(f)[0]) / both
    return (np.exp(_LOG_WEIGHT)[:, None] * share).sum(0)
