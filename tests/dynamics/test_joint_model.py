"""A classical joint model as a special case of the filter, against its exact likelihood and its published fit to the PBC data.

Published: JMbayes2's site and JM 1.5-2 on the same data (value of log serum bilirubin, random intercept and slope, death or transplantation).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from joint_model import by_filter, by_quadrature, fit, pbc2

from remanent.dynamics.compile import compiled

JMBAYES2 = {
    "association": (1.24, 0.03), "intercept": (0.72, 0.015), "year": (0.267, 0.005), "female": (-0.264, 0.015),
    "year x female": (-0.0886, 0.003), "sigma": (0.347, 0.001), "sd of intercepts": (1.00, 0.01), "sd of slopes": (0.18, 0.005),
    "correlation": (0.40, 0.03), "female, event": (-0.158, 0.05), "association (standard error)": (0.085, 0.005),
}  # fmt: skip
JM = {
    "association": (1.2454, 0.003),
    "log likelihood": (-1963.253, 0.1),
    "intercept": (0.7209, 0.006),
    "sigma": (0.3468, 0.0005),
}
X = {
    "alpha": jnp.asarray(1.2), "gamma": jnp.asarray(-0.2), "beta": jnp.array([0.7, -0.2, 0.25, -0.1]), "log_sigma": jnp.log(0.35),
    "log_intercept": jnp.log(1.0), "log_slope": jnp.log(0.15), "lambda": jnp.asarray(0.07), "log_baseline": jnp.full(7, -4.5),
}  # fmt: skip


def within(found: dict[str, float], published: dict[str, tuple[float, float]]) -> None:
    missed = {k: (found[k], value) for k, (value, margin) in published.items() if abs(found[k] - value) > margin}
    assert not missed, missed


@pytest.mark.real
def test_longitudinal_part_is_the_linear_mixed_model_exactly(real_data):
    """With no association the hazard does not touch the random effects, and filter and closed form agree but for the loss of k_f."""
    data = pbc2(real_data / "pbc2" / "pbc2.csv")
    found, exact = (compiled(f)({**X, "alpha": jnp.asarray(0.0)}, data) for f in (by_filter, by_quadrature))
    np.testing.assert_allclose(found, exact, atol=2e-3)
    assert abs(float((found - exact).sum())) < 0.01


@pytest.mark.real
def test_assumed_density_of_the_association(real_data):
    data = pbc2(real_data / "pbc2" / "pbc2.csv")
    gap = np.asarray(jax.tree.map(jnp.subtract, *(compiled(f)(X, data) for f in (by_filter, by_quadrature))))
    assert np.abs(gap).mean() < 0.1
    assert np.abs(gap).max() < 1.0


@pytest.mark.real
def test_published_fit_is_reproduced(real_data):
    found, _ = fit(by_filter, pbc2(real_data / "pbc2" / "pbc2.csv"))
    within(found, JMBAYES2)


@pytest.mark.real
@pytest.mark.slow
def test_with_the_exact_likelihood_the_published_fit_is_reproduced_closely(real_data):
    found, _ = fit(by_quadrature, pbc2(real_data / "pbc2" / "pbc2.csv"))
    within(found, JM)
