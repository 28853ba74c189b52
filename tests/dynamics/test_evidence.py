"""Laplace evidence against importance sampling, and that importance sampling against integrals that are known."""

import numpy as np
import pytest
from evidence import by_importance
from figures import laplace_against_importance
from scipy.special import gammaln

from remanent.dynamics.infer import Fit
from remanent.dynamics.priors import MECHANISMS


def test_the_sampler_integrates_a_skewed_density_exactly():
    """Product of log-gamma densities: the integral is a product of gamma functions, the start is its Laplace approximation."""
    shapes = np.array([2.0, 3.0, 8.0, 20.0])
    exact = gammaln(shapes).sum()
    start = Fit("natural", np.log(shapes), np.diag(1 / shapes), 0.0, np.empty(0), True, "converged")
    found = by_importance(lambda x: (shapes * x - np.exp(x)).sum(1), start, 4000, np.random.default_rng(0))
    laplace = (shapes * np.log(shapes) - shapes + 0.5 * np.log(2 * np.pi / shapes)).sum()
    assert abs(laplace - exact) > 0.05
    assert found.log_evidence == pytest.approx(exact, abs=5 * found.error)
    assert found.error < 0.02
    assert found.pareto_k < 0.7


@pytest.mark.slow
def test_laplace_evidence_in_full():
    found = laplace_against_importance(patients=40, draws=8000)
    assert max(found[f"{m}: Pareto k"] for m in MECHANISMS) < 0.7
    gaps = np.array([found[f"{m}: Laplace minus sampled (nats)"] for m in MECHANISMS])
    assert np.abs(gaps).max() < 0.5
    assert np.abs(gaps - gaps.mean()).max() < 0.3, "what matters for probabilities is the difference between mechanisms"
