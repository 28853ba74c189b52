r"""What is usual for a person's age, sex and scanner: z values that stay calibrated at a site with two controls.

Model of one feature in healthy people, with a natural cubic spline of age and sex in :math:`x`:

.. math:: y = \alpha + x'\beta + e^{c\,a/2}\,u, \quad u \sim N(m_s, v_s), \quad m_s | v_s \sim N(\mu, v_s/\kappa), \quad
          v_s \sim \text{Inv-}\chi^2(\nu, v_0)

The reference sites give :math:`\mu, \kappa, \nu, v_0` (marginal likelihood, closed form; weak priors in circuits.yaml).
A site's controls then give an exact Student t for the next healthy person there, wide where controls are few; it is
averaged over what the reference sites leave unknown about :math:`\kappa`. That is what keeps the share beyond 1.96 near
5 % with two controls as with thirty, and without any for a site nobody has seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import norm, t

from remanent.circuits.definitions import definitions

_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(7)
_WEIGHTS = _WEIGHTS / np.sqrt(np.pi)
_PRIOR_SPREAD = 1.5  # standard deviation of the logarithms of kappa and nu about their priors

Values = Float[ndarray, "scan feature"]
PerScan = Float[ndarray, " scan"]
PerFeature = Float[ndarray, " feature"]


@dataclass(frozen=True, slots=True)
class Controls:
    """Healthy people of one site: how many, their mean and sum of squares about it, [feature]."""

    count: PerFeature
    mean: PerFeature
    squares: PerFeature


@dataclass(frozen=True, slots=True)
class Norm:
    """What is usual, in the order of the features it was learnt on.

    Attributes
    ----------
    knots
        Of the age spline (years).
    intercept, effects, effects_covariance
        Regression coefficients at the mean age and sex, [feature] and [column, feature], and the covariance of the
        latter over the variance of people, [column, column, feature].
    age_slope
        Change of the log variance per year from `age_center`, [feature].
    center, strength, freedom, variance
        mu, kappa, nu and v_0 of the sites, [feature]; kappa at Gauss-Hermite nodes of its posterior, [node, feature],
        each already widened by what is not known about mu.
    sites
        Controls of each known site.
    """

    knots: Float[ndarray, " knot"]
    age_center: float
    column_center: Float[ndarray, " column"]
    intercept: PerFeature
    effects: Float[ndarray, "column feature"]
    effects_covariance: Float[ndarray, "column column feature"]
    age_slope: PerFeature
    center: PerFeature
    strength: Float[ndarray, "node feature"]
    freedom: PerFeature
    variance: PerFeature
    sites: Mapping[str, Controls]


def learn_norm(values: Values, age: PerScan, sex: PerScan, site: Sequence[str]) -> Norm:
    """Learn what is usual from healthy people of one or more sites, one scan each.

    Parameters
    ----------
    values
        [scan, feature], NaN where missing; a feature needs values that differ.
    age, sex
        Age (years) and 0/1, [scan].
    site
        Of each scan.
    """
    knots = np.unique(np.quantile(age, [0.05, 0.35, 0.65, 0.95]))
    columns = _columns(age, sex, knots)
    names = np.asarray(site)
    age_center, column_center = float(age.mean()), columns.mean(axis=0)
    x = columns - column_center
    found = [_learn_feature(values[:, v], x, age - age_center, names) for v in range(values.shape[1])]
    intercept, effects, covariance, slope, *sites = (np.stack(parts, axis=-1) for parts in zip(*found, strict=True))
    center, strength, freedom, variance = sites
    regression = (knots, age_center, column_center, intercept, effects, covariance, slope)
    learnt = Norm(*regression, center, strength, freedom, variance, {})
    for one in np.unique(names):
        mine = names == one
        learnt = add_site(learnt, str(one), values[mine], age[mine], sex[mine])
    return learnt


def add_site(learnt: Norm, site: str, values: Values, age: PerScan, sex: PerScan) -> Norm:
    """Let a new site's healthy controls say where its values lie. Nothing known about other sites changes."""
    u, _ = _standard(learnt, values, age, sex)
    there = np.isfinite(u)
    count = there.sum(axis=0).astype(float)
    mean = np.where(there, u, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(there, (u - mean) ** 2, 0.0).sum(axis=0)
    return replace(learnt, sites=dict(learnt.sites) | {site: Controls(count, mean, squares)})


def z_values(learnt: Norm, values: Values, age: PerScan, sex: PerScan, site: Sequence[str]) -> Values:
    """Return normal quantiles of each value's place among healthy people of its age, sex and site, [scan, feature].

    The predictive distribution is Student's t with nu + n degrees of freedom; a site nobody has seen has n = 0.
    """
    u, leverage = _standard(learnt, values, age, sex)
    z = np.full_like(u, np.nan)
    names = np.asarray(site)
    for one in np.unique(names):
        mine = names == one
        blank = np.zeros_like(learnt.center)
        controls = learnt.sites.get(str(one), Controls(blank, blank, blank))
        z[mine] = _quantile(learnt, controls, u[mine], leverage[mine])
    return z


def _quantile(learnt: Norm, controls: Controls, u: Values, leverage: Values) -> Values:
    """Normal quantile of the predictive distribution at one site: a mixture of Student's t over the nodes of kappa."""
    freedom = learnt.freedom + controls.count
    shift = controls.mean - learnt.center
    below, above = np.zeros_like(u), np.zeros_like(u)
    for kappa, weight in zip(learnt.strength, _WEIGHTS, strict=True):
        strength = kappa + controls.count
        total = learnt.freedom * learnt.variance + controls.squares + kappa * controls.count / strength * shift**2
        scale = np.sqrt(total / freedom * (1 + 1 / strength + leverage))
        place = (u - learnt.center - controls.count / strength * shift) / scale
        below += weight * t.cdf(place, freedom)
        above += weight * t.sf(place, freedom)
    return np.where(above < below, norm.isf(above), norm.ppf(below))


def _standard(learnt: Norm, values: Values, age: PerScan, sex: PerScan) -> tuple[Values, Values]:
    """Values less what age and sex predict, over the age's spread; and the variance factor of that prediction."""
    x = _columns(age, sex, learnt.knots) - learnt.column_center
    spread = np.exp(learnt.age_slope * (age - learnt.age_center)[:, None] / 2)
    leverage = np.einsum("ci,ijf,cj->cf", x, learnt.effects_covariance, x)
    return (values - learnt.intercept - x @ learnt.effects) / spread, leverage / spread**2


def _columns(age: PerScan, sex: PerScan, knots: Float[ndarray, " knot"]) -> Float[ndarray, "scan column"]:
    """Natural cubic spline of age (linear beyond the outer knots, and throughout with fewer than three) and sex."""
    if len(knots) < 3:
        return np.column_stack([age, sex])
    cubes = np.maximum(age[:, None] - knots, 0.0) ** 3
    last = (cubes[:, -2] - cubes[:, -1]) / (knots[-1] - knots[-2])
    curves = [(cubes[:, k] - cubes[:, -1]) / (knots[-1] - knots[k]) - last for k in range(len(knots) - 2)]
    return np.column_stack([age, *(curve / (knots[-1] - knots[0]) ** 2 for curve in curves), sex])


def _learn_feature(y: PerScan, x: Float[ndarray, "scan column"], age: PerScan, site: ndarray) -> tuple[ndarray, ...]:
    """Intercept, effects, their covariance over variance, slope of the log variance, and mu, kappa, nu, v_0 of the sites."""
    there = np.isfinite(y)
    y, x, age = y[there], x[there], age[there]
    names, site = np.unique(site[there], return_inverse=True)
    slope = 0.0
    for _ in range(4):
        weight = np.exp(-slope * age / 2)[:, None]
        dummies = (site[:, None] == np.arange(len(names))).astype(float)
        design = np.concatenate([weight * dummies, weight * x], axis=1)
        coefficients = np.linalg.lstsq(design, weight[:, 0] * y)[0]
        residual = weight[:, 0] * y - design @ coefficients
        squares = residual**2 / np.mean(residual**2)
        slope += float(age @ (squares - 1) / max(age @ age, np.finfo(float).tiny))  # one step of Fisher scoring
    covariance = np.linalg.pinv(design.T @ design)[len(names) :, len(names) :]
    effects, count = coefficients[len(names) :], np.bincount(site)
    intercept = np.average(coefficients[: len(names)], weights=count)
    u = (y - intercept - x @ effects) * weight[:, 0]
    mean = np.bincount(site, u) / count
    squares = np.bincount(site, (u - mean[site]) ** 2)
    return np.array(intercept), effects, covariance, np.array(slope), *_learn_sites(count, mean, squares)


def _learn_sites(count: ndarray, mean: ndarray, squares: ndarray) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Maximise the marginal likelihood of the sites' controls over mu, kappa, nu and v_0; weak priors on kappa and nu.

    Returns mu, kappa at the nodes of its Laplace posterior, nu, v_0.
    """
    prior = {name: definitions().norm_prior[name] for name in ("strength", "freedom")}
    pooled = max(squares.sum() / max(count.sum() - len(count), 1), np.finfo(float).tiny)
    start = np.array([np.average(mean, weights=count), *np.log([prior[n].value for n in prior]), np.log(pooled)])

    def cost(point: ndarray) -> float:
        mu, (kappa, nu, v0) = point[0], np.exp(point[1:])
        strength, freedom = kappa + count, nu + count
        total = nu * v0 + squares + kappa * count / strength * (mean - mu) ** 2
        likelihood = gammaln(freedom / 2) - gammaln(nu / 2) + nu / 2 * np.log(nu * v0) - freedom / 2 * np.log(total)
        penalty = np.sum((point[1:3] - start[1:3]) ** 2) / 2 / _PRIOR_SPREAD**2
        return float(penalty - np.sum(likelihood + np.log(kappa / strength) / 2))

    best = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 2000}).x
    step = np.array([0.0, 0.3, 0.0, 0.0])
    curvature = (cost(best + step) - 2 * cost(best) + cost(best - step)) / 0.3**2
    spread = 1 / np.sqrt(max(curvature, 1 / _PRIOR_SPREAD**2))
    kappa = np.exp(best[1] + np.sqrt(2) * spread * _NODES)
    unknown_center = 1 / (kappa[:, None] * count / (kappa[:, None] + count)).sum(axis=1)
    freedom, variance = np.exp(best[2:])
    return np.array(best[0]), 1 / (1 / kappa + unknown_center), np.array(freedom), np.array(variance)
