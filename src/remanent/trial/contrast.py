"""How many patients tell one mechanism from another, when the rival may be anything that it can be.

A patient's ratings and scans are a Gaussian vector y under given population parameters theta (nobody relapses or leaves in it). Its moments are exact but for
the length of a step: function and structure are linear in the patient's random effects and in the noise, so each is followed through the equations of
`trajectory` by itself (superposition), and

    mean(y) = the course of the mean,   cov(y) = sum of the squares of the other courses + levels of the patient's own + noise of the measures.

The rival that mimics the truth theta0 best is

    theta* = argmin_theta  KL( N(theta0) || N_rival(theta) ) + (theta - m)' C^-1 (theta - m) / 2 n

with m and C what is known of the rival's parameters beforehand, n the largest number of patients asked about. With l the log density ratio of one patient's y
at theta0 and theta*, n patients give odds beyond `odds` by their data alone with

    P( sum of n values of l > log odds ) = Phi( (n E[l] - log odds) / (sd[l] sqrt n) )

E[l] being that divergence and sd[l] the spread of a quadratic form: the power of a likelihood ratio from its expectation, as Satorra and Saris
(1985, DOI 10.1007/BF02294150). A rival that contains the truth mimics it perfectly; then the question is put the other way round (`ordered`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from remanent.dynamics.compile import compiled
from remanent.dynamics.design import Design
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior
from remanent.dynamics.model import Params
from remanent.dynamics.priors import MECHANISMS, SWITCHES, Layout, layout, params_by_lane
from remanent.dynamics.reference import reference_posterior
from remanent.trial.design import Contrast
from remanent.trial.power import Curve
from remanent.trial.reference import start_sd
from remanent.trial.trajectory import Person, Push, advance
from remanent.trial.world import GAP_DAYS, SCALE, SESSIONS, STEP_DAYS

TRUTHS = 12  # populations drawn; the curve's interval is over them
DIFFERENCE = 1e-5
# Of the search for the rival: nats a patient, prior sd.
STEPS, CONVERGED, LONGEST_STEP, FARTHEST = 40, 1e-6, 2.0, 6.0
RUN_AWAY = 1e4  # variance of an answer
DAMPINGS = 10.0 ** np.arange(-4, 4)

Thetas = Float[np.ndarray, "param lane"]
Lane = Float[np.ndarray, " lane"]
_LOADINGS = ("l_f[function]", "l_s[structure]")
# Columns of the superposition: the mean; one sd of each random effect; for the next step, each state alone and the noise of each; then the diffusion up to
# each look.
_MEAN, _P, _GF, _GS, _F0, _S0 = range(6)
_UNIT, _FRESH, _LOOKS = slice(6, 8), slice(8, 10), 10


class Law(NamedTuple):
    """Gaussian law of a patient's answers under each theta: mean [answer, lane], covariance [answer, answer, lane]."""

    mean: np.ndarray
    cov: np.ndarray

    def at(self, lane: int) -> "Law":
        """That of one lane."""
        return Law(self.mean[..., lane], self.cov[..., lane])


@dataclass(frozen=True)
class Rival:
    """The rival that mimics a truth best among n patients.

    Attributes
    ----------
    theta
        Its parameters, [param].
    nats
        Expected log density ratio of one patient's answers for the truth.
    sd
        Spread of that ratio over patients.
    """

    theta: np.ndarray
    nats: float
    sd: float


def typical_measures() -> Posterior:
    """The reference prior with a rating, a measure that follows function and one that follows structure, loadings unknown."""
    return measured_by({SCALE: "fw", "function": "f", "structure": "s"})


def measured_by(loads: Mapping[str, str]) -> Posterior:
    """The reference prior with these measures, the first a rating; of each the states that it loads on (f, s, e, w)."""
    zero = np.zeros(len(loads))
    pattern = np.array([[state in states for state in "fsew"] for states in loads.values()])
    measures = Indicators(tuple(loads), np.arange(len(loads)) == 0, zero, zero + 1.0, pattern)
    design = Design(measures, np.nan, np.nan, (), (), ("unknown",), (1.0,), (), (), (), dropout=False)
    return reference_posterior(layout(design))


def ordered(mechanisms: tuple[str, str]) -> tuple[str, str]:
    """True mechanism and rival: as given, but the richer one is the true one where it contains the other."""
    true, rival = (SWITCHES[MECHANISMS.index(name)] for name in mechanisms)
    return (mechanisms[1], mechanisms[0]) if (true <= rival).all() else mechanisms


def mechanism_curve(rng: np.random.Generator, posterior: Posterior, asked: Contrast, *, typical: bool) -> Curve:
    """Probability that n patients tell the true mechanism from its rival (`ordered`): mean and 90 % interval over populations drawn.

    `typical`: the measures are those of `typical_measures`; a true loading is one prior sd.
    """
    true, rival = (MECHANISMS.index(name) for name in ordered(asked.mechanisms))
    truths = posterior.fits[true].draw(rng, TRUTHS)
    if typical:
        truths[:, [posterior.layout.index(name) for name in _LOADINGS]] = 1.0
    found = []
    for theta in truths:
        truth = [law.at(0) for law in answers(posterior.layout, true, theta[:, None], asked)]
        nearest = mimic(truth, posterior, rival, theta, asked)
        found.append([_decided(n, nearest, asked.odds) for n in asked.patients])
    low, high = np.quantile(found, (0.05, 0.95), axis=0)
    return Curve(asked.patients, *(tuple(map(float, part)) for part in (np.mean(found, axis=0), low, high)))


def _decided(n: int, rival: Rival, odds: float) -> float:
    return float(norm.cdf((n * rival.nats - np.log(odds)) / max(rival.sd * np.sqrt(n), 1e-9)))


def answers(layout: Layout, mechanism: int, thetas: Thetas, asked: Contrast) -> list[Law]:
    """Law of a patient's answers in each arm: every indicator on each day, indicator by indicator; at most one theta more than there are parameters."""
    arms, lanes = len(asked.taper_days), thetas.shape[1]
    padded = np.pad(thetas, ((0, 0), (0, layout.size + 1 - lanes)))  # one shape, one program
    params = _by_lane(layout)(jnp.asarray(padded), jnp.asarray(layout.acting(mechanism)))
    params = jax.tree.map(lambda v: np.tile(np.asarray(v)[..., :lanes], arms), params)
    both = _answers(params, asked, np.repeat(asked.taper_days, lanes))
    return [Law(*(part[..., k * lanes : (k + 1) * lanes] for part in both)) for k in range(arms)]


@lru_cache(maxsize=8)
def _by_lane(layout: Layout) -> Any:
    return compiled(lambda thetas, switches: params_by_lane(thetas, layout, switches))


def _answers(params: Params, asked: Contrast, taper_day: Lane) -> Law:
    paths, w, e = _courses(params, asked, taper_day)
    l_f, l_s, l_e, l_w, mu, sd_mu, sigma = (
        getattr(params, name)[:, None] for name in ("l_f", "l_s", "l_e", "l_w", "mu", "sd_mu", "sigma")
    )
    seen = l_f[..., None, :] * paths[:, 0] + l_s[..., None, :] * paths[:, 1]  # [indicator, day, column, lane]
    mean = seen[:, :, _MEAN] + mu + l_e * e + l_w * w
    indicators, days, _, lanes = seen.shape
    moved = np.moveaxis(seen[:, :, _P:].reshape(indicators * days, -1, lanes), -1, 0)
    cov = np.moveaxis(moved @ np.swapaxes(moved, 1, 2), 0, -1)
    own = sd_mu[..., None, :] ** 2 + sigma[..., None, :] ** 2 * np.eye(days)[..., None]
    for j in range(indicators):
        block = slice(j * days, (j + 1) * days)
        cov[block, block] += own[j]
    return Law(mean.reshape(indicators * days, lanes), cov)


def _courses(params: Params, asked: Contrast, taper_day: Lane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(function, structure) on each day, [day, state, column, lane], withdrawal and trace, [day, lane].

    The drug is given from the last session on; a day up to the first session lies before it.
    """
    days, first = np.sort(asked.scan_days), -GAP_DAYS * (SESSIONS - 1)
    due = np.where(days <= first, -1, np.ceil((days - first) / STEP_DAYS - 1e-9)).astype(int)
    walk = _Walk(params, len(days), taper_day.shape)
    for k in range(-1, due[-1] + 1):
        day = first + k * STEP_DAYS
        if k > 0:
            gone = (day - taper_day) / max(7.0 * asked.taper_weeks, 1e-9)
            walk.step(np.clip(1.0 - gone, 0.0, 1.0) * (day >= 0))
        if 0 <= k < SESSIONS:
            walk.session(1.0 / SESSIONS)
        for _ in range(int((due == k).sum())):
            walk.look()
    paths, withdrawal, trace = (np.stack(part) for part in zip(*walk.seen, strict=True))
    return paths, withdrawal, trace


class _Walk:
    """All columns of the superposition on their way, [state, column, lane], and the covariance of the diffusion since the last look, [3, lane]: ff, fs, ss."""

    def __init__(self, params: Params, looks: int, lanes: tuple[int, ...]) -> None:
        self.params, self.person, self.new = params, Person(*(np.zeros(1),) * 5), _LOOKS
        self.x = np.zeros((2, _LOOKS + 2 * looks, *lanes))
        self.x[0, _F0] = self.x[1, _S0] = start_sd()
        self.z, self.v = np.zeros(self.x.shape), np.zeros(self.x.shape[1:])
        self.unit = np.broadcast_to(np.eye(2)[..., None], (2, 2, *lanes))
        self.z[:, _FRESH] = self.unit
        self.w, self.e, self.share, *self.noise = np.zeros((6, *lanes))
        self.w_half, self.e_left = np.exp(-STEP_DAYS / (2 * params.tau_w)), np.exp(-STEP_DAYS / params.tau_e)
        self.columns = np.r_[: _UNIT.start, _LOOKS : self.x.shape[1]]
        self.seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def session(self, share: float) -> None:
        """One session of ECT, this share of the course."""
        p, x = self.params, self.x
        x[0, _MEAN] += share
        x[0, _GF] += share * p.sd_gf
        x[1, _MEAN] += share * p.mu_gs
        x[1, _GS] += share * p.sd_gs
        self.e = self.e + share

    def look(self) -> None:
        """Note where everything is; the diffusion since the last look becomes two columns, the Cholesky root of its covariance."""
        ff, fs, ss = self.noise
        root = np.sqrt(ff)
        lower = fs / np.maximum(root, 1e-300)
        self.x[0, self.new], self.x[1, self.new] = root, lower
        self.x[1, self.new + 1] = np.sqrt(np.maximum(ss - lower**2, 0.0))
        self.new += 2
        self.noise = [np.zeros_like(ff) for _ in range(3)]
        self.seen.append((self.x[:, self.columns], self.w, self.e))

    def step(self, share: Lane) -> None:
        """One step on, at whose end the dose is this share of the full one; the mean of both ends acts."""
        p, mean = self.params, (self.share + share) / 2
        self.w = (self.w * self.w_half + p.omega * np.maximum(self.share - share, 0.0)) * self.w_half
        self.e, self.share = self.e * self.e_left, share
        self.v[_MEAN], self.v[_P] = p.p * mean, p.sd_p * mean
        self.x[:, _UNIT], self.x[:, _FRESH] = self.unit, 0.0
        now = slice(self.new)
        push = Push(p.c + p.a * mean, self.v[now])
        self.x[:, now] = advance(p, self.person, (self.x[0, now], self.x[1, now]), push, STEP_DAYS, self.z[:, now])
        (a, b), (c, d) = self.x[:, _UNIT]
        (e, f), (g, h) = self.x[:, _FRESH]
        ff, fs, ss = self.noise
        self.noise = [
            a * a * ff + 2 * a * b * fs + b * b * ss + e * e + f * f,
            a * c * ff + (a * d + b * c) * fs + b * d * ss + e * g + f * h,
            c * c * ff + 2 * c * d * fs + d * d * ss + g * g + h * h,
        ]


def mimic(truth: Sequence[Law], posterior: Posterior, mechanism: int, start: np.ndarray, asked: Contrast) -> Rival:
    """The rival nearest to a truth, by damped scoring steps (Levenberg and Marquardt), several dampings tried at once."""
    fit, layout = posterior.fits[mechanism], posterior.layout

    def laws(thetas: Thetas) -> list[Law]:
        return answers(layout, mechanism, thetas, asked)

    free = _acting(laws(_around(start, np.arange(layout.size))))
    mode, precision = fit.mode[free], np.linalg.inv(fit.cov[np.ix_(free, free)]) / max(asked.patients)

    def values(thetas: Thetas) -> np.ndarray:
        away, seen = thetas[free] - mode[:, None], laws(thetas)
        nats = [
            np.mean([divergence(t, law.at(k)) for t, law in zip(truth, seen, strict=True)])
            for k in range(thetas.shape[1])
        ]
        return np.array(nats) + (away * (precision @ away)).sum(axis=0) / 2

    theta = start
    for _ in range(STEPS):
        slopes = [_slopes(t, law) for t, law in zip(truth, laws(_around(theta, free)), strict=True)]
        gradient = np.mean([g for g, _ in slopes], axis=0) + precision @ (theta[free] - mode)
        curvature = np.mean([h for _, h in slopes], axis=0) + precision
        tried = np.repeat(theta[:, None], 1 + len(DAMPINGS), axis=1)
        tried[free, 1:] = np.stack([_moved(theta[free], gradient, curvature, one) for one in DAMPINGS], axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            found = values(tried)
        theta = tried[:, found.argmin()]
        if found[0] - found.min() < CONVERGED:
            break
    pairs = [(t, law.at(0)) for t, law in zip(truth, laws(theta[:, None]), strict=True)]
    spread = np.sqrt(np.mean([_variance(*pair) for pair in pairs]))
    return Rival(theta, float(np.mean([divergence(*pair) for pair in pairs])), float(spread))


def _around(theta: np.ndarray, free: np.ndarray) -> Thetas:
    """Theta, and a small step from it along each free coordinate."""
    steps = np.zeros((theta.size, 1 + free.size))
    steps[free, 1 + np.arange(free.size)] = DIFFERENCE
    return theta[:, None] + steps


def _acting(laws: Sequence[Law]) -> np.ndarray:
    """Coordinates along which any answer's law changes, from laws around a theta."""
    moved = [
        np.abs(part[..., 1:] - part[..., :1]).reshape(-1, part.shape[-1] - 1).max(axis=0)
        for law in laws
        for part in law
    ]
    return np.flatnonzero(np.max(moved, axis=0) > 0)


def _moved(theta: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, damping: float) -> np.ndarray:
    step = -np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
    return np.clip(theta + step * min(1.0, LONGEST_STEP / np.abs(step).max()), -FARTHEST, FARTHEST)


def divergence(truth: Law, rival: Law) -> float:
    """Kullback-Leibler divergence (nats) of the truth from the rival; inf where the rival runs away within a step."""
    if not np.abs(rival.cov).max() < RUN_AWAY:
        return float("inf")
    away = truth.mean - rival.mean
    logs = np.linalg.slogdet(rival.cov)[1] - np.linalg.slogdet(truth.cov)[1]
    return float(0.5 * (np.trace(np.linalg.solve(rival.cov, truth.cov + np.outer(away, away))) + logs - len(away)))


def _variance(truth: Law, rival: Law) -> float:
    """Variance over patients of the log density ratio, whose quadratic form is y' A y / 2 + d' y about the truth's mean."""
    A = (np.linalg.inv(rival.cov) - np.linalg.inv(truth.cov)) @ truth.cov
    d = np.linalg.solve(rival.cov, truth.mean - rival.mean)
    return float(0.5 * np.trace(A @ A) + d @ truth.cov @ d)


def _slopes(truth: Law, rival: Law) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the divergence in the rival's theta and its Fisher information, from laws at theta and beside it."""
    m, S = rival.mean[:, 0], rival.cov[..., 0]
    dm, dS = (rival.mean[:, 1:].T - m) / DIFFERENCE, (np.moveaxis(rival.cov[..., 1:], -1, 0) - S) / DIFFERENCE
    away = truth.mean - m
    turned = np.linalg.solve(S, dS)  # S^-1 dS_i
    seen = np.linalg.solve(S, truth.cov + np.outer(away, away))
    gradient = 0.5 * (np.einsum("iaa->i", turned) - np.einsum("iab,ba->i", turned, seen)) - dm @ np.linalg.solve(
        S, away
    )
    information = 0.5 * np.einsum("iab,jba->ij", turned, turned, optimize=True) + dm @ np.linalg.solve(S, dm.T)
    return gradient, information
