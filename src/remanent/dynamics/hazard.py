"""Relapse and dropout as competing events whose hazards depend on function: a Gaussian law tilted by survival and by an event."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.model import AnyArray, Params

Lane = Float[AnyArray, " lane"]
_HERMITE_X, _HERMITE_W = np.polynomial.hermite.hermgauss(9)


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
    f = mean[None] + jnp.sqrt(2 * var)[None] * _HERMITE_X[:, None]
    relapse, dropout = hazard.at(f)
    log_w = events[0][None] * relapse + events[1][None] * dropout - weight[None] * hazard.total(f)
    log_w = log_w + np.log(_HERMITE_W / np.sqrt(np.pi))[:, None]
    log_z = jax.nn.logsumexp(log_w, axis=0)
    w = jnp.exp(log_w - log_z[None])
    new_mean = (w * f).sum(0)
    return log_z, new_mean, (w * (f - new_mean[None]) ** 2).sum(0)


def relapse_share(mean: Lane, var: Lane, weight: Lane, hazard: Hazards) -> Lane:
    """Probability of a relapse during `weight` days, dropout competing: E[h_r / (h_r + h_d) (1 - exp(-weight (h_r + h_d)))] over N(mean, var)."""
    f = mean[None] + jnp.sqrt(2 * var)[None] * _HERMITE_X[:, None]
    total = hazard.total(f)
    share = -jnp.expm1(-weight[None] * total) * jnp.exp(hazard.at(f)[0]) / total
    return ((_HERMITE_W / np.sqrt(np.pi))[:, None] * share).sum(0)
