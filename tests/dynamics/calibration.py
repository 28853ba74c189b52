"""Simulation-based calibration of MAP + Laplace: parameters drawn from the prior, data from the model, ranks of the truth in the posterior.

Observations come from the model's own predictive law on a fixed design (linear form, no relapse); that law is tested against the joint Gaussian.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from synthetic import Cohort

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import Grid, replicate
from remanent.dynamics.infer import _fit_one, _objective
from remanent.dynamics.priors import MECHANISMS, SWITCHES, to_params


class Calibration(NamedTuple):
    """Posterior probability below the truth and sd ratio posterior / prior, [replicate, param]; whether each fit converged, [replicate]."""

    rank: np.ndarray
    sd: np.ndarray
    converged: np.ndarray

    def p_values(self, bins: int = 10) -> np.ndarray:
        """Of uniform ranks, chi-square over `bins`, [param]."""
        counts = np.stack([np.histogram(r, bins, (0, 1))[0] for r in self.rank.T])
        return scipy.stats.chisquare(counts, axis=1).pvalue

    def coverage(self, level: float) -> np.ndarray:
        """Share of central intervals that hold the truth, [param]."""
        return (np.abs(self.rank - 0.5) < level / 2).mean(0)


def calibrate(cohort: Cohort, replicates: int, seed: int) -> Calibration:
    """Under the dual mechanism, which has every parameter."""
    dual, layout = MECHANISMS.index("dual"), cohort.layout
    switches, design = jnp.asarray(SWITCHES[dual]), Grid(*map(jnp.asarray, cohort.timeline.grid))
    draw = compiled(lambda key, theta: replicate(key, to_params(theta, layout, switches), design))
    rng, objective = np.random.default_rng(seed), _objective(layout)
    rank, sd, converged = [], [], []
    for key in jax.random.split(jax.random.key(seed), replicates):
        theta = rng.standard_normal(layout.size)
        fitted = _fit_one(objective, draw(key, jnp.asarray(theta)), dual, np.zeros(layout.size))
        sd.append(np.sqrt(np.diag(fitted.cov)))
        rank.append(scipy.stats.norm.cdf((theta - fitted.mode) / sd[-1]))
        converged.append(fitted.converged)
    return Calibration(np.array(rank), np.array(sd), np.array(converged))
