"""The classical joint model (random intercept and slope, hazard in the current value) written as a special case of the filter, kernel untouched.

    y_ij = b0_i + b1_i t_ij + error,   (b0_i, b1_i) ~ N(X_i beta, Sigma),   h_i(t) = h0(t) exp(gamma x_i + alpha (b0_i + b1_i t))

A function that never falls back (k_f -> 0, no diffusion) keeps what it is given. The patient's gain of function g_f,i is given once at t = 0, so it is the
random intercept; the passive gain works under a constant exposure of 1 / k_f, so it is the part of the random slope independent of the intercept; a further
share lambda dt of g_f,i at each step makes the two correlated. Stressors of size -1 / k_f carry the fixed effects. Baseline hazard and covariates of the
hazard multiply the weights of the cumulative hazard. `START_SD` of the filter is part of the random intercept.
"""

import csv
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood
from remanent.dynamics.infer import hessian_of
from remanent.dynamics.model import Params
from remanent.dynamics.recursion import START_SD
from remanent.dynamics.steps import Grid

_K = 1e-6  # k_f (1/year): over 15 years the function loses 15 millionths
_TINY = 1e-8
_HERMITE, _WEIGHT = np.polynomial.hermite_e.hermegauss(15)
_NODES = np.stack(np.meshgrid(_HERMITE, _HERMITE, indexing="ij"), -1).reshape(-1, 2)
_LOG_WEIGHTS = np.log(np.outer(_WEIGHT, _WEIGHT).ravel() / (2 * np.pi))

Parameters = Mapping[str, jax.Array]
Likelihood = Callable[[Parameters, "Data"], jax.Array]


class Data(NamedTuple):
    """Steps of all patients, years: a first step of one year that carries the fixed part of the intercept, then the visits and quadrature nodes.

    `left` and `right` are half-lengths of the at-risk intervals on either side of a step's end, each with the piece of the baseline hazard it lies in.
    """

    sex: np.ndarray
    dt: np.ndarray
    first: np.ndarray
    observed: np.ndarray
    value: np.ndarray
    left: np.ndarray
    right: np.ndarray
    left_piece: np.ndarray
    right_piece: np.ndarray
    event: np.ndarray


def pbc2(path: Path, pieces: int = 7, widest: float = 0.25) -> Data:
    """log serum bilirubin by year; the event is death or transplantation; the baseline hazard changes at quantiles of the follow-up."""
    patients: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            patients.setdefault(row["id"], []).append(row)
    ends = [float(visits[0]["years"]) for visits in patients.values()]
    knots = np.quantile(ends, np.linspace(0, 1, pieces + 1)[1:-1])
    lanes = [_lane(visits, knots, widest) for visits in patients.values()]
    steps = max(len(lane["dt"]) for lane in lanes)
    stacked = {
        name: np.stack([np.pad(lane[name], (0, steps - len(lane["dt"]))) for lane in lanes], axis=1)
        for name in lanes[0]
    }
    first = np.zeros((steps, len(lanes)))
    first[0] = 1.0
    sex = np.array([float(visits[0]["sex"] == "female") for visits in patients.values()])
    return Data(sex=sex, first=first, **stacked)


def _lane(visits: list[dict[str, str]], knots: np.ndarray, widest: float) -> dict[str, np.ndarray]:
    end = float(visits[0]["years"])
    seen = np.array([float(v["year"]) for v in visits])
    stops = np.unique(np.concatenate([[0.0, end], seen[seen < end], knots[knots < end]]))
    nodes = np.concatenate(
        [np.linspace(a, b, max(int(np.ceil((b - a) / widest)), 1), endpoint=False) for a, b in pairwise(stops)]
        + [[end]]
    )
    half, piece = np.diff(nodes) / 2, np.searchsorted(knots, (nodes[1:] + nodes[:-1]) / 2)
    late = seen > end  # a visit recorded after the event is read at the event
    at = np.searchsorted(nodes, np.where(late, end, seen))
    value = np.zeros(nodes.size)
    value[at] = np.log([float(v["serBilir"]) for v in visits])
    observed = np.zeros(nodes.size)
    observed[at] = 1.0
    lane = {
        "dt": np.diff(nodes, prepend=0.0), "observed": observed, "value": value,
        "left": np.r_[0.0, half], "right": np.r_[half, 0.0], "left_piece": np.r_[0, piece], "right_piece": np.r_[piece, 0],
        "event": np.r_[np.zeros(nodes.size - 1), float(visits[0]["status"] != "alive")],
    }  # fmt: skip
    return {name: np.concatenate([[1.0 if name == "dt" else 0], v]).astype(v.dtype) for name, v in lane.items()}


def by_filter(x: Parameters, data: Data) -> jax.Array:
    """Log likelihood of each patient by the engine's filter."""
    zero, one = jnp.zeros_like(data.dt), 1.0 - data.first
    sex = jnp.broadcast_to(data.sex[None], data.dt.shape)
    weight, at_event = _hazard(x, data)
    grid = Grid(
        day=zero, dt=data.dt, dose=one[None] / _K, held=zero[:1], lost=zero, ect=(data.first + x["lambda"] * one * data.dt)[None], at_risk=weight,
        relapse=data.event,
        stress=_fixed_effects(x, data, sex), observed=data.observed[None], indicator=zero[None].astype(int),
        value=data.value[None], se2=zero[None], beyond=zero[None], period=zero[None][:0], dropout=zero, tether=zero[:0], risk=zero[:0], reserve=zero[0],
    )  # fmt: skip
    return log_likelihood(_params(x), grid) + at_event


def _fixed_effects(x: Parameters, data: Data, sex: jax.Array) -> jax.Array:
    """Their sum as one stressor with coefficient 1 (it acts through a sensitivity that is 1 for everybody), and two that are not used."""
    one = 1.0 - data.first
    mean_gain = jnp.stack([1.0, 0.0, x["lambda"], 0.0])  # the filter's mean gain of function is 1
    design = jnp.stack([data.first, data.first * sex, one, one * sex])
    sum_ = ((x["beta"] - mean_gain)[:, None, None] * design).sum(0)
    return -jnp.stack([sum_, 0 * sum_, 0 * sum_]) / _K


def by_quadrature(x: Parameters, data: Data) -> jax.Array:
    """The same, exactly: the law of (b0, b1) given the observations in closed form, the hazard by 15 x 15 Gauss-Hermite nodes under it."""
    year = jnp.cumsum(data.dt * (1 - data.first), 0)
    seen, noise = data.observed, jnp.exp(2 * x["log_sigma"])
    v0, v01, v1 = _covariance(x)
    det = v0 * v1 - v01**2
    fixed0, fixed1 = x["beta"][0] + x["beta"][1] * data.sex, x["beta"][2] + x["beta"][3] * data.sex
    rest = (data.value - fixed0[None] - fixed1[None] * year) * seen
    a00, a01 = v1 / det + seen.sum(0) / noise, -v01 / det + (seen * year).sum(0) / noise
    a11 = v0 / det + (seen * year**2).sum(0) / noise
    r0, r1, precision = rest.sum(0) / noise, (rest * year).sum(0) / noise, a00 * a11 - a01**2
    mean0, mean1 = (a11 * r0 - a01 * r1) / precision, (a00 * r1 - a01 * r0) / precision
    log_norm = seen.sum(0) * jnp.log(2 * jnp.pi * noise) + (rest**2).sum(0) / noise + jnp.log(det * precision)
    observed = -0.5 * (log_norm - r0 * mean0 - r1 * mean1)
    root0 = jnp.sqrt(a11 / precision)
    slope = -a01 / precision / root0
    root1 = jnp.sqrt(a00 / precision - slope**2)
    b0 = (fixed0 + mean0)[None] + root0[None] * _NODES[:, :1]
    b1 = (fixed1 + mean1)[None] + slope[None] * _NODES[:, :1] + root1[None] * _NODES[:, 1:]
    weight, at_event = _hazard(x, data)

    def body(total: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        w, t, event = (v[None] for v in step)
        log_ratio = x["alpha"] * (b0 + b1 * t)
        return total + event * log_ratio - w * jnp.exp(log_ratio), None

    survived, _ = jax.lax.scan(jax.checkpoint(body), jnp.zeros_like(b0), (weight, year, data.event))
    return observed + jax.nn.logsumexp(survived + _LOG_WEIGHTS[:, None], axis=0) + at_event


def _hazard(x: Parameters, data: Data) -> tuple[jax.Array, jax.Array]:
    """Weight of each step in the cumulative hazard, and the log hazard at the event but for its dependence on the value."""
    log_base, covariate = x["log_baseline"], x["gamma"] * data.sex
    weight = data.left * jnp.exp(log_base[data.left_piece]) + data.right * jnp.exp(log_base[data.right_piece])
    return weight * jnp.exp(covariate)[None], (data.event * (log_base[data.left_piece] + covariate[None])).sum(0)


def _covariance(x: Parameters) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Variance of b0, covariance, variance of b1."""
    gain = jnp.exp(2 * x["log_intercept"])
    v01 = x["lambda"] * gain
    return START_SD**2 + gain, v01, jnp.exp(2 * x["log_slope"]) + x["lambda"] * v01


def _params(x: Parameters) -> Params:
    zero, each = jnp.asarray(0.0), jnp.zeros(1)
    return Params(
        k_f=jnp.asarray(_K), r=jnp.asarray(1.0), c=zero, a=zero, p=zero, sd_p=jnp.exp(x["log_slope"]), mu_gs=zero, sd_gs=jnp.asarray(_TINY),
        sd_gf=jnp.exp(x["log_intercept"]), sig_f=jnp.asarray(_TINY), sig_s=jnp.asarray(_TINY), b=jnp.array([1.0, 0.0, 0.0]), omega=zero, tau_w=jnp.asarray(1.0),
        tau_e=jnp.asarray(1.0), h0=jnp.asarray(1.0), eta_f=-x["alpha"], mu=each, sd_mu=each + _TINY, l_f=each + 1, l_s=each, l_e=each,
        l_w=each, sigma=jnp.exp(x["log_sigma"])[None],
    )  # fmt: skip


def fit(likelihood: Likelihood, data: Data) -> tuple[dict[str, float], Parameters]:
    """Maximum likelihood, with standard errors of the two coefficients of the hazard from the observed information."""
    start = {
        "alpha": jnp.asarray(0.5), "gamma": jnp.asarray(0.0), "beta": jnp.array([0.5, 0.0, 0.1, 0.0]), "log_sigma": jnp.log(0.5),
        "log_intercept": jnp.log(0.8), "log_slope": jnp.log(0.1), "lambda": jnp.asarray(0.0),
        "log_baseline": jnp.full(int(data.left_piece.max()) + 1, -3.0),
    }  # fmt: skip
    flat, unravel = ravel_pytree(start)
    program = compiled(jax.value_and_grad(lambda v, data: -likelihood(unravel(v), data).sum()))

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = program(v, data)
        return float(value), np.asarray(gradient)

    found = minimize(objective, np.asarray(flat), jac=True, method="BFGS", options={"gtol": 1e-4})
    se = unravel(jnp.sqrt(jnp.diag(jnp.linalg.inv(hessian_of(objective, found.x)))))
    x = unravel(jnp.asarray(found.x))
    v0, v01, v1 = _covariance(x)
    out = {
        "association": x["alpha"], "association (standard error)": se["alpha"], "female, event": x["gamma"],
        "female, event (standard error)": se["gamma"], "intercept": x["beta"][0], "female": x["beta"][1], "year": x["beta"][2],
        "year x female": x["beta"][3], "sigma": jnp.exp(x["log_sigma"]), "sd of intercepts": jnp.sqrt(v0), "sd of slopes": jnp.sqrt(v1),
        "correlation": v01 / jnp.sqrt(v0 * v1), "log likelihood": -found.fun, "evaluations": found.nfev,
    }  # fmt: skip
    return {k: float(v) for k, v in out.items()}, x
