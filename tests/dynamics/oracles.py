"""Independent derivations of what the filter computes, in plain NumPy and SciPy, one patient at a time.

`joint_gaussian` writes the law of all states and observations as one normal vector and conditions it by matrix inversion. `twin` is a Kalman filter with whole
matrices, matrix exponentials and the assumed-density update of the hazard, in loops. Neither shares a line with the engine but the list of states.
"""

from typing import NamedTuple

import jax
import numpy as np
import scipy.linalg
import scipy.stats
from designs import one_by_one

from remanent.dynamics.model import Params
from remanent.dynamics.recursion import START_SD
from remanent.dynamics.steps import PER_SLOT, Grid

EFFECTS = 6  # f, s, p_i, g_f,i, g_s,i, q_i stand before the patient's own levels of the indicators


class Step(NamedTuple):
    """x' = move x + offset + noise, and the reading y = fixed + read x + error."""

    move: np.ndarray
    offset: np.ndarray
    noise: np.ndarray
    read: np.ndarray
    fixed: float


def plain(params: Params, grid: Grid) -> tuple[Params, Grid]:
    """As NumPy arrays, with one reading a step, [step, patient]."""
    flat = one_by_one(grid)
    return jax.tree.map(np.asarray, params), flat._replace(**{name: getattr(flat, name)[0] for name in PER_SLOT})


def start(p: Params, g: Grid, i: int) -> tuple[np.ndarray, np.ndarray]:
    mean = np.concatenate([[0, 0, p.p, 1, p.mu_gs, np.exp(-p.lam * g.reserve[i])], np.zeros(len(p.mu))])
    sd = np.concatenate([[START_SD, START_SD, p.sd_p, p.sd_gf, p.sd_gs, p.sd_b], p.sd_mu])
    return mean, np.diag(sd**2)


def steps_of(p: Params, g: Grid, i: int) -> list[Step]:
    """Every step of patient i by matrix exponentials (Van Loan)."""
    out, w, e = [], 0.0, 0.0
    for t in range(g.dt.shape[0]):
        dt, share, j = (
            float(g.dt[t, i]),
            sum(m * n for m, n in zip(p.ect_e, g.ect[:, t, i], strict=True)),
            int(g.indicator[t, i]),
        )
        kept = (1 - np.exp(-dt / p.tau_w)) / (dt / p.tau_w) if dt else 1.0
        w, e = w * np.exp(-dt / p.tau_w) + p.omega * g.lost[t, i] * kept, e * np.exp(-dt / p.tau_e) + share
        read = np.zeros(EFFECTS + len(p.mu))
        read[[0, 1, EFFECTS + j]] = p.l_f[j], p.l_s[j], 1.0
        out.append(Step(*_move(p, g, t, i), read, p.mu[j] + p.l_e[j] * e + p.l_w[j] * w))
    return out


def _move(p: Params, g: Grid, t: int, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = EFFECTS + len(p.mu)
    kappa, dt = p.c + p.a * np.einsum("k,k", p.alpha, g.dose[:, t, i]), float(g.dt[t, i])
    drift = np.array([[-p.k_f, p.k_f], [kappa, -(kappa + p.r)]])
    van_loan = np.zeros((4, 4))
    van_loan[:2, :2], van_loan[:2, 2:], van_loan[2:, 2:] = -drift, np.diag([p.sig_f**2, p.sig_s**2]), drift.T
    e = scipy.linalg.expm(van_loan * dt)
    phi, integral = e[2:, 2:].T, np.zeros((4, 4))
    integral[:2, :2], integral[0, 2], integral[1, 3] = drift, p.k_f, p.r
    inputs = scipy.linalg.expm(integral * dt)[:2, 2:]  # constant inputs to f's target and to the level of s
    crp, sleep, talk = g.stress[:, t, i]
    move = np.eye(size)
    move[:2, :2], move[:2, 2] = phi, inputs[:, 0] * np.einsum("k,k", p.rho, g.dose[:, t, i] - g.held[:, i])
    move[:2, 5] = -inputs[:, 0] * (p.b[0] * crp + p.b[1] * sleep)
    move[0, 3], move[1, 4] = np.einsum("q,q", p.ect_f, g.ect[:, t, i]), np.einsum("q,q", p.ect_s, g.ect[:, t, i])
    offset, noise = np.zeros(size), np.zeros((size, size))
    offset[:2] = inputs @ [-p.b[2] * talk, np.einsum("x,x", p.set_point, g.tether[:, i])]
    noise[:2, :2] = phi @ e[:2, 2:]
    return move, offset, noise


class States(NamedTuple):
    """Law of every state at every step, stacked: mean [step * state], cov [step * state, step * state].

    `log_density` is that of the observations, `log_normaliser` its greatest possible value; `error` is how far they are from what was expected, `spread` the
    covariance of that.
    """

    mean: np.ndarray
    cov: np.ndarray
    log_density: float
    log_normaliser: float
    error: np.ndarray
    spread: np.ndarray

    def pick(self, state: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean [step] and covariance [step, step] of one state."""
        at = np.arange(steps) * (self.mean.size // steps) + state
        return self.mean[at], self.cov[np.ix_(at, at)]


def joint_gaussian(params: Params, grid: Grid, i: int) -> States:
    """Law of all states of patient i given the observations, and the log density of these; the hazard is left out."""
    p, g = plain(params, grid)
    path = steps_of(p, g, i)
    mean, cov = start(p, g, i)
    size, steps = mean.size, len(path)
    means, joint = [], np.zeros((steps * size, steps * size))
    for t, step in enumerate(path):
        now = slice(t * size, (t + 1) * size)
        before = slice(max(t - 1, 0) * size, max(t, 1) * size)
        joint[now, : t * size] = step.move @ joint[before, : t * size]
        joint[: t * size, now] = joint[now, : t * size].T
        mean, cov = step.move @ mean + step.offset, step.move @ cov @ step.move.T + step.noise
        joint[now, now] = cov
        means.append(mean)
    seen = np.flatnonzero(g.observed[:, i] > 0)
    h, prior = np.zeros((seen.size, steps * size)), np.concatenate(means)
    for row, t in enumerate(seen):
        h[row, t * size : (t + 1) * size] = path[t].read
    var = h @ joint @ h.T + np.diag(g.se2[seen, i] + p.sigma[g.indicator[seen, i]] ** 2)
    error = g.value[seen, i] - h @ prior - np.array([path[t].fixed for t in seen])
    gain = np.linalg.solve(var, h @ joint).T
    normaliser = -0.5 * np.linalg.slogdet(2 * np.pi * var)[1]
    log_density = normaliser - 0.5 * error @ np.linalg.solve(var, error)
    return States(prior + gain @ error, joint - gain @ h @ joint, log_density, normaliser, error, var)


class Twin(NamedTuple):
    """Log likelihood with relapse; law after the last step; filtered mean and sd of (f, s) after every step, [step, 2]."""

    log_lik: float
    mean: np.ndarray
    cov: np.ndarray
    path_mean: np.ndarray
    path_sd: np.ndarray


def twin(params: Params, grid: Grid, i: int) -> Twin:
    """Filter patient i with whole matrices."""
    p, g = plain(params, grid)
    mean, cov = start(p, g, i)
    total, means, sds = 0.0, [], []
    for t, step in enumerate(steps_of(p, g, i)):
        mean, cov = step.move @ mean + step.offset, step.move @ cov @ step.move.T + step.noise
        if g.at_risk[t, i] > 0 or g.relapse[t, i] + g.dropout[t, i] > 0:
            log_z, tilted_mean, tilted_var = _tilted(p, g, t, i, (mean[0], cov[0, 0]))
            gain = cov[:, 0] / cov[0, 0]
            mean, cov = mean + gain * (tilted_mean - mean[0]), cov + np.outer(gain, gain) * (tilted_var - cov[0, 0])
            total += log_z
        if g.observed[t, i] > 0:
            var = step.read @ cov @ step.read + g.se2[t, i] + p.sigma[g.indicator[t, i]] ** 2
            error = g.value[t, i] - step.fixed - step.read @ mean
            log_p, shift, left = _seen(error, var, g.beyond[t, i])
            gain = cov @ step.read / var
            mean, cov = mean + gain * shift, cov - np.outer(gain, gain) * (var - left)
            total += log_p
        means.append(mean[:2])
        sds.append(np.sqrt(np.diag(cov)[:2]))
    return Twin(total, mean, cov, np.array(means), np.array(sds))


def _seen(error: float, var: float, beyond: float) -> tuple[float, float, float]:
    """Of a reading that is off by `error`: log density, and mean and variance of how far the truth is from what was expected."""
    if beyond == 0:
        return scipy.stats.norm.logpdf(error, scale=np.sqrt(var)), error, 0.0
    law = scipy.stats.norm(scale=np.sqrt(var))
    ends = (error, np.inf) if beyond > 0 else (-np.inf, error)
    kept = scipy.stats.truncnorm(*(x / np.sqrt(var) for x in ends), scale=np.sqrt(var))
    return float(law.logsf(error) if beyond > 0 else law.logcdf(error)), float(kept.mean()), float(kept.var())


def _tilted(p: Params, g: Grid, t: int, i: int, law: tuple[float, float]) -> tuple[float, float, float]:
    nodes, weights = np.polynomial.hermite.hermgauss(9)
    f = law[0] + np.sqrt(2 * law[1]) * nodes
    relapse, dropout = hazards_at(p, g, t, i, f)
    w = weights / np.sqrt(np.pi) * np.exp(-g.at_risk[t, i] * (relapse + dropout))
    w = w * relapse ** g.relapse[t, i] * dropout ** g.dropout[t, i]
    z = w.sum()
    m = (w * f).sum() / z
    return float(np.log(z)), float(m), float((w * (f - m) ** 2).sum() / z)


def hazards_at(p: Params, g: Grid, t: int, i: int, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hazards of relapse and of dropout in step t of patient i, at each value of f."""
    share = g.period[:, t, i]
    base = p.h0 * ((1 - share.sum()) + np.einsum("k,k", share, np.broadcast_to(p.period, share.shape)))
    base = base * np.exp(np.einsum("x,x", np.broadcast_to(p.eta_x, g.risk[:, i].shape), g.risk[:, i]))
    return base * np.exp(-p.eta_f * f), p.hd0 * np.exp(-p.eta_d * f)
