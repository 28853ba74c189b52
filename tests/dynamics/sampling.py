"""What the filter approximates, by sampling: the same steps, weights and hazard, no assumed density.

`by_importance` draws whole paths of f from their exact Gaussian law given the observations and weighs them by survival and relapse. `by_particles` is a
bootstrap particle filter over f, s and the gains; only a patient's own level of each indicator is integrated out given a particle's path, exactly.
"""

from typing import NamedTuple

import numpy as np
from oracles import EFFECTS, hazards_at, joint_gaussian, plain, start, steps_of
from scipy.special import logsumexp

from remanent.dynamics.filter import Grid
from remanent.dynamics.model import Params


class Sampled(NamedTuple):
    """Log likelihood and its Monte Carlo standard error; mean and sd of (f, s) after every step [step, 2] (importance: after the last [2])."""

    log_lik: float
    error: float
    mean: np.ndarray
    sd: np.ndarray


def by_importance(params: Params, grid: Grid, i: int, draws: int, rng: np.random.Generator) -> Sampled:
    p, g = plain(params, grid)
    steps = int(g.dt.shape[0])
    states = joint_gaussian(params, grid, i)
    risky = np.flatnonzero((g.at_risk[:, i] > 0) | (g.relapse[:, i] + g.dropout[:, i] > 0))
    width = states.mean.size // steps
    at = np.concatenate([risky * width, [(steps - 1) * width, (steps - 1) * width + 1]])
    variance, directions = np.linalg.eigh(states.cov[np.ix_(at, at)])
    root = directions * np.sqrt(np.maximum(variance, 0.0))
    drawn = states.mean[at] + rng.standard_normal((draws, at.size)) @ root.T
    log_weight = sum(_log_events(p, g, t, i, drawn[:, k]) for k, t in enumerate(risky))
    weight = np.exp(log_weight - logsumexp(log_weight))
    mean = weight @ drawn[:, -2:]
    sd = np.sqrt(weight @ (drawn[:, -2:] - mean) ** 2)
    gained = logsumexp(log_weight) - np.log(draws)
    return Sampled(states.log_density + gained, np.sqrt(np.sum((weight - 1 / draws) ** 2)), mean, sd)


def by_particles(params: Params, grid: Grid, i: int, particles: int, rng: np.random.Generator) -> Sampled:
    p, g = plain(params, grid)
    mean, cov = start(p, g, i)
    moving = np.sqrt(np.diag(cov))[:EFFECTS, None] * rng.standard_normal((EFFECTS, particles))
    x = np.vstack([mean[:EFFECTS, None] + moving, np.zeros((len(p.mu), particles))])
    own_var = np.diag(cov)[
        EFFECTS:
    ].copy()  # of the patient's own levels given a path of f and s: the same for every particle
    log_w, total, means, sds = np.full(particles, -np.log(particles)), 0.0, [], []
    for t, step in enumerate(steps_of(p, g, i)):
        noise = np.linalg.cholesky(step.noise[:2, :2] + 1e-18 * np.eye(2)) @ rng.standard_normal((2, particles))
        x[:2] = step.move[:2, :EFFECTS] @ x[:EFFECTS] + step.offset[:2, None] + noise
        log_w = log_w + _log_events(p, g, t, i, x[0])
        if g.observed[t, i] > 0:
            j = g.indicator[t, i]
            var = g.se2[t, i] + p.sigma[j] ** 2 + own_var[j]
            error = g.value[t, i] - step.fixed - step.read @ x
            log_w = log_w - 0.5 * (np.log(2 * np.pi * var) + error**2 / var)
            x[EFFECTS + j] += own_var[j] / var * error
            own_var[j] *= 1 - own_var[j] / var
        gained = logsumexp(log_w)
        total, log_w = total + gained, log_w - gained
        w = np.exp(log_w)
        means.append(x[:2] @ w)
        sds.append(np.sqrt((x[:2] - means[-1][:, None]) ** 2 @ w))
        if 1 / (w @ w) < particles / 2:
            edges = (rng.random() + np.arange(particles)) / particles
            x = x[:, np.minimum(np.searchsorted(np.cumsum(w), edges), particles - 1)]
            log_w = np.full(particles, -np.log(particles))
    return Sampled(float(total), np.nan, np.array(means), np.array(sds))


def by_fine_particles(params: Params, grid: Grid, i: int, particles: int, rng: np.random.Generator) -> Sampled:
    """Bootstrap particle filter of the two-basin form: Euler steps of at most half a day, each particle with its own tipping point; nothing is linearised."""
    p, g = plain(params, grid)
    cloud = _two_basin_start(p, g, i, particles, rng)
    own_mean, own_var = np.zeros((len(p.mu), particles)), p.sd_mu**2
    log_w, total, means, sds, w, e = np.full(particles, -np.log(particles)), 0.0, [], [], 0.0, 0.0
    for t in range(g.dt.shape[0]):
        cloud[:2] = _two_basin_step(p, g, t, i, cloud, rng)
        dt = float(g.dt[t, i])
        kept = (1 - np.exp(-dt / p.tau_w)) / (dt / p.tau_w) if dt else 1.0
        w = w * np.exp(-dt / p.tau_w) + p.omega * g.lost[t, i] * kept
        e = e * np.exp(-dt / p.tau_e) + np.einsum("q,q", p.ect_e, g.ect[:, t, i])
        log_w = log_w + _log_events(p, g, t, i, cloud[0])
        if g.observed[t, i] > 0:
            j = g.indicator[t, i]
            var = g.se2[t, i] + p.sigma[j] ** 2 + own_var[j]
            fixed = p.mu[j] + p.l_e[j] * e + p.l_w[j] * w
            error = g.value[t, i] - fixed - p.l_f[j] * cloud[0] - p.l_s[j] * cloud[1] - own_mean[j]
            log_w = log_w - 0.5 * (np.log(2 * np.pi * var) + error**2 / var)
            own_mean[j] += own_var[j] / var * error
            own_var[j] *= 1 - own_var[j] / var
        gained = logsumexp(log_w)
        total, log_w = total + gained, log_w - gained
        weight = np.exp(log_w)
        means.append(cloud[:2] @ weight)
        sds.append(np.sqrt((cloud[:2] - means[-1][:, None]) ** 2 @ weight))
        if 1 / (weight @ weight) < particles / 2:
            edges = (rng.random() + np.arange(particles)) / particles
            chosen = np.minimum(np.searchsorted(np.cumsum(weight), edges), particles - 1)
            cloud, own_mean = cloud[:, chosen], own_mean[:, chosen]
            log_w = np.full(particles, -np.log(particles))
    return Sampled(float(total), np.nan, np.array(means), np.array(sds))


def _two_basin_start(p: Params, g: Grid, i: int, particles: int, rng: np.random.Generator) -> np.ndarray:
    """f, s, p_i, g_f,i, g_s,i, q_i, theta_i of every particle."""
    mean, cov = start(p, g, i)
    theta = p.theta - np.einsum("x,x", p.set_point, g.tether[:, i])
    centre = np.append(mean[:EFFECTS], theta)
    sd = np.append(np.sqrt(np.diag(cov))[:EFFECTS], p.sd_theta)
    return centre[:, None] + sd[:, None] * rng.standard_normal((EFFECTS + 1, particles))


def _two_basin_step(p: Params, g: Grid, t: int, i: int, cloud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    f, s, gain, g_f, g_s, q, theta = cloud
    crp, sleep, talk = g.stress[:, t, i]
    drug = np.einsum("k,k", p.rho, g.dose[:, t, i] - g.held[:, i])
    target = gain * drug - q * (p.b[0] * crp + p.b[1] * sleep) - p.b[2] * talk
    kappa = p.c + p.a * np.einsum("k,k", p.alpha, g.dose[:, t, i])
    parts = max(int(np.ceil(2 * g.dt[t, i])), 1)
    h = g.dt[t, i] / parts
    for _ in range(parts):
        z = rng.standard_normal((2, f.size)) * np.sqrt(h)
        df = -p.k_f * (f - s - target)
        ds = kappa * (f - s) - p.r * s * (s - theta) * (s - 1)
        f, s = f + h * df + p.sig_f * z[0], s + h * ds + p.sig_s * z[1]
    jumps = [np.einsum("q,q", m, g.ect[:, t, i]) for m in (p.ect_f, p.ect_s)]
    return np.stack([f + jumps[0] * g_f, s + jumps[1] * g_s])


def _log_events(p: Params, g: Grid, t: int, i: int, f: np.ndarray) -> np.ndarray:
    """Log density of what happened in one step, survival included, given f."""
    relapse, dropout = hazards_at(p, g, t, i, f)
    events = g.relapse[t, i] * np.log(relapse) + g.dropout[t, i] * np.log(dropout if p.hd0 > 0 else 1.0)
    return events - g.at_risk[t, i] * (relapse + dropout)
