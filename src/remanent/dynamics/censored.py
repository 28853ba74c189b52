"""What one reading says of what it reads: the value itself or, at the end of its scale, that the truth lies at or beyond it.

Before it is seen a reading is Gaussian: mean m, variance S, e = value - m. Seen as it is it has the density N(e; 0, S). At the end of a scale (`beyond` +1 at
the upper, -1 at the lower end) it only says that the truth is at least, or at most, the value:

    p = Phi(u),  u = -beyond e / sqrt S,  lambda = phi(u) / Phi(u),  delta = lambda (lambda + u),

and the truncated law has the mean m + beyond lambda sqrt S and the variance S (1 - delta) (Tobin 1958, DOI 10.2307/1907382). The law of the state is taken as
Gaussian with the moments that follow, as for the hazards (`hazard`): with c the covariance of the state with the reading,

    mean += gain c,  cov -= kappa c c';   as it is: gain = e / S, kappa = 1 / S;   beyond: gain = beyond lambda / sqrt S, kappa = delta / S.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr

from remanent.dynamics.gaussian import Lane

_HALF_LOG_2_PI = 0.5 * np.log(2 * np.pi)


class Taken(NamedTuple):
    """Gain and kappa of the update by one reading, the log density of the reading (nats), and lambda; all 0 where nothing is read."""

    gain: Lane
    kappa: Lane
    density: Lane
    mills: Lane


def taken(e: Lane, s: Lane, seen: Lane, beyond: Lane) -> Taken:
    """The update by a reading that is off by `e` with variance `s`; the normal integral is worked out only where some scale is at its end."""
    return jax.lax.cond(jnp.any(beyond != 0), _at_ends, _as_read, e, s, seen, beyond)


def _as_read(e: Lane, s: Lane, seen: Lane, _: Lane) -> Taken:
    return Taken(seen * e / s, seen / s, seen * _log_density(e, s), jnp.zeros_like(e))


def _log_density(e: Lane, s: Lane) -> Lane:
    return -0.5 * (jnp.log(s) + e * e / s) - _HALF_LOG_2_PI


def _at_ends(e: Lane, s: Lane, seen: Lane, beyond: Lane) -> Taken:
    root = jnp.sqrt(s)
    u = -beyond * e / root
    log_p = log_ndtr(u)
    mills = jnp.exp(-0.5 * u * u - _HALF_LOG_2_PI - log_p)
    end = beyond != 0
    gain = jnp.where(end, beyond * mills / root, e / s)
    kappa = jnp.where(end, _delta(u, mills), 1.0) / s
    return Taken(seen * gain, seen * kappa, seen * jnp.where(end, log_p, _log_density(e, s)), mills)


def _delta(u: Lane, mills: Lane) -> Lane:
    """Share of the variance that goes; far out rounding would leave [0, 1]."""
    return jnp.clip(mills * (mills + u), 0.0, 1.0)


def taken_back(e: Lane, s: Lane, read: tuple[Lane, Lane, Lane], to: tuple[Lane, Lane, Lane]) -> tuple[Lane, Lane]:
    """The gradient in `e` and `s`, of that in (gain, kappa, density); `read`: seen, beyond and lambda."""
    return jax.lax.cond(jnp.any(read[1] != 0), _at_ends_back, _as_read_back, e, s, read, to)


def _as_read_back(e: Lane, s: Lane, read: tuple[Lane, Lane, Lane], to: tuple[Lane, Lane, Lane]) -> tuple[Lane, Lane]:
    seen, (to_gain, to_kappa, to_density) = read[0], to
    to_e = to_gain - to_density * e
    to_s = 0.5 * to_density * (e * e / s - 1) - (to_gain * e + to_kappa) / s
    return seen * to_e / s, seen * to_s / s


def _at_ends_back(e: Lane, s: Lane, read: tuple[Lane, Lane, Lane], to: tuple[Lane, Lane, Lane]) -> tuple[Lane, Lane]:
    (seen, beyond, mills), (to_gain, to_kappa, to_density) = read, to
    end, root = beyond != 0, jnp.sqrt(s)
    u = -beyond * e / root
    delta = _delta(u, mills)
    by_u = mills - delta * (2 * mills + u)  # of delta
    gain_by_e = delta / s
    gain_by_s = beyond * (delta * u - mills) / (2 * s * root)
    kappa_by_e = -beyond * by_u / (s * root)
    kappa_by_s = -(delta + by_u * u / 2) / (s * s)
    to_e = to_gain * gain_by_e + to_kappa * kappa_by_e - to_density * beyond * mills / root
    to_s = to_gain * gain_by_s + to_kappa * kappa_by_s - to_density * mills * u / (2 * s)
    as_e, as_s = _as_read_back(e, s, read, to)
    return jnp.where(end, seen * to_e, as_e), jnp.where(end, seen * to_s, as_s)
