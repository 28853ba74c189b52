"""NUTS and bridge sampling where the answer is known, and the whole chain of them on a cohort (`slow`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from figures import laplace_against_sampling
from scipy.special import gammaln

from remanent.dynamics import sample
from remanent.dynamics.bridge import bridge
from remanent.dynamics.compile import compiled
from remanent.dynamics.infer import Fit, Sampling
from remanent.dynamics.mixing import bulk_ess, rhat
from remanent.dynamics.priors import MECHANISMS

SHAPES = np.array([2.0, 3.0, 8.0, 20.0])


@pytest.fixture(scope="module")
def chains() -> np.ndarray:
    """NUTS on a product of log-gamma densities, [chain, draw, param]."""
    shapes = jnp.asarray(SHAPES)
    run = compiled(
        lambda key, start: sample.nuts(lambda z: (jnp.exp(z) - shapes * z).sum(), key, start, (300, 1000, 0.8))
    )
    starts = np.log(SHAPES) + np.random.default_rng(0).standard_normal((4, 4)) / np.sqrt(SHAPES)
    found = [run(key, jnp.asarray(x)) for key, x in zip(jax.random.split(jax.random.key(0), 4), starts, strict=True)]
    assert not any(np.asarray(diverged).any() for _, diverged, _ in found)
    return np.stack([np.asarray(z) for z, *_ in found])


def log_density(x: np.ndarray) -> np.ndarray:
    return (SHAPES * x - np.exp(x)).sum(1)


def test_the_sampler_draws_from_a_skewed_density(chains):
    """exp(z) is gamma distributed: its mean and variance are its shape."""
    gamma = np.exp(chains)
    error = np.sqrt(SHAPES / bulk_ess(chains))
    np.testing.assert_allclose(gamma.mean((0, 1)), SHAPES, atol=4.5 * error.max())
    np.testing.assert_allclose(gamma.var((0, 1)), SHAPES, rtol=0.2)
    assert rhat(chains).max() < 1.01
    assert bulk_ess(chains).min() > 400


def test_bridge_sampling_finds_a_known_integral(chains):
    found = bridge(chains, log_density, np.random.default_rng(0))
    exact = gammaln(SHAPES).sum()
    laplace = (SHAPES * np.log(SHAPES) - SHAPES + 0.5 * np.log(2 * np.pi / SHAPES)).sum()
    assert found.error < 0.02 < abs(laplace - exact)
    assert found.log_evidence == pytest.approx(exact, abs=4 * found.error)


def test_the_stated_error_of_bridge_sampling_is_its_error():
    """Over repetitions with independent draws of the posterior."""
    rng, exact = np.random.default_rng(1), gammaln(SHAPES).sum()
    found = [bridge(np.log(rng.gamma(SHAPES, size=(4, 250, 4))), log_density, rng) for _ in range(60)]
    z = np.array([(f.log_evidence - exact) / f.error for f in found])
    assert 0.7 < np.sqrt((z**2).mean()) < 1.4


def test_without_overlap_bridge_sampling_says_so():
    """Draws from elsewhere: the error is large, not the answer confident."""
    wrong = np.random.default_rng(0).normal(30.0, 0.01, (4, 200, 4))
    found = bridge(wrong, lambda x: -0.5 * (x**2).sum(1), np.random.default_rng(0))
    assert found.error > 0.01


GOOD = Sampling(rhat=1.003, bulk_ess=1500.0, divergences=0, evidence_error=0.04, laplace_log_evidence=-10.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rhat", 1.2, "disagree"),
        ("rhat", np.nan, "disagree"),
        ("bulk_ess", 60.0, "only 60 independent draws"),
        ("divergences", 3, "3 transitions diverged"),
        ("evidence_error", np.inf, "known to inf nats only"),
    ],
)
def test_what_is_wrong_with_chains_is_said(name, value, words):
    assert sample.complaints(GOOD) == []
    (told,) = sample.complaints(GOOD.__class__(**{**GOOD.__dict__, name: value}))
    assert words in told


def test_a_fit_with_chains_draws_from_them():
    draws = np.random.default_rng(0).standard_normal((50, 2)) + 7
    fit = Fit("dual", np.zeros(2), np.eye(2), 0.0, np.empty(0), True, "converged", draws=draws, sampling=GOOD)
    drawn = fit.draw(np.random.default_rng(1), 50)
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(draws, axis=0))
    assert fit.draw(np.random.default_rng(1), 80).shape == (80, 2)


def test_chains_take_the_place_of_the_gaussian(cohort, posterior, monkeypatch):
    """With chains drawn from the Laplace approximation itself: moments, evidence and status follow from them, and only mechanisms with weight are sampled."""
    before, grid = posterior("dual"), cohort("dual").timeline.grid
    rng = np.random.default_rng(0)

    def chains(layout, fit, grid, seed, plan):
        theta = fit.mode + rng.standard_normal((4, 150, layout.size)) @ np.linalg.cholesky(fit.cov).T
        return sample.Run(theta, np.zeros((4, 150)), np.full((4, 150), 7))

    monkeypatch.setattr(sample, "run_chains", chains)
    after = sample.sampled(before, grid, seed=0)
    evidence = np.array([f.log_evidence for f in before.fits])
    for weighs, old, new in zip(evidence > evidence.max() - np.log(1000), before.fits, after.fits, strict=True):
        if not weighs:
            assert new is old
            continue
        assert new.sampling.laplace_log_evidence == old.log_evidence
        assert new.log_evidence == pytest.approx(old.log_evidence, abs=3.0), (
            "draws of a normal are not draws of the posterior"
        )
        assert new.sampling.rhat < 1.05
        assert new.sampling.divergences == 0
        assert new.draws.shape == (600, old.mode.size)
        assert new.converged == (not sample.complaints(new.sampling))
    assert after.fits[3].sampling is not None


def test_chains_that_never_move_are_no_fit(cohort, posterior, monkeypatch):
    size = cohort("dual").layout.size
    stuck = sample.Run(np.zeros((4, 10, size)), np.zeros((4, 10)), np.zeros((4, 10)))
    monkeypatch.setattr(sample, "run_chains", lambda *_: stuck)
    found = sample.sampled_fit(cohort("dual").layout, posterior("dual").fits[3], cohort("dual").timeline.grid, 0)
    assert not found.converged
    assert "never moved" in found.message


@pytest.mark.slow
def test_laplace_against_nuts_and_bridge_in_full():
    found = laplace_against_sampling(patients=40, plan=sample.Plan(4, 500, 500))
    for m in MECHANISMS:
        assert found[f"{m}: R-hat"] < 1.02
        assert found[f"{m}: divergences"] == 0
        assert abs(found[f"{m}: Laplace minus bridge (nats)"]) < 0.3 + 3 * found[f"{m}: Monte Carlo error (nats)"]
        assert found[f"{m}: largest gap of a mean (posterior sd)"] < 0.6
        assert found[f"{m}: least sd ratio"] > 0.7
