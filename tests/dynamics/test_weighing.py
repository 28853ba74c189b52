"""Weights of a Laplace approximation's draws: Gaussian targets whose evidence is known, approximations that are wrong, and a fit."""

from dataclasses import replace

import numpy as np
import pytest

from remanent.dynamics.infer import Fit, Weighed
from remanent.dynamics.pointwise import log_prior, pointwise
from remanent.dynamics.priors import MECHANISMS
from remanent.dynamics.weighing import message, trusted, weigh
from remanent.relapse.predict import posterior_ensemble

SIZE = 6
ROOT = np.linalg.cholesky(0.5 * np.eye(SIZE) + 0.2)
MODE = np.linspace(-1, 1, SIZE)


def gaussian_fit(widening: float = 1.0, evidence: float = -100.0) -> Fit:
    return Fit("dual", MODE, widening**2 * ROOT @ ROOT.T, evidence, np.zeros(1), converged=True, message="converged")


def log_lik(thetas: np.ndarray) -> np.ndarray:
    """Such that with the prior the posterior is a Gaussian about MODE with root ROOT, and the evidence exp(-100)."""
    z = np.linalg.solve(ROOT, (thetas - MODE).T).T
    return -100 + log_prior(z) - np.log(np.diag(ROOT)).sum() - log_prior(thetas)


def weighed(fit: Fit, draws: int = 120) -> Weighed | None:
    thetas = fit.draw(np.random.default_rng(0), draws)
    return weigh(fit, thetas, log_lik(thetas))


def test_an_exact_approximation_has_no_gap() -> None:
    found = weighed(gaussian_fit())
    assert abs(found.gap) < 1e-6
    assert found.error < 1e-6
    assert trusted(found)
    assert "holds" in message(found)


def test_a_wider_one_finds_the_evidence_and_a_wrong_evidence_shows() -> None:
    wider = weighed(gaussian_fit(1.2))
    assert abs(wider.gap) < 3 * wider.error
    assert 0 < wider.error < 0.2
    wrong = weighed(gaussian_fit(1.2, evidence=-103.0))
    assert wrong.gap == pytest.approx(wider.gap + 3, abs=1e-9)
    assert trusted(wider)
    assert not trusted(wrong)


def test_one_that_is_too_narrow_is_not_trusted() -> None:
    found = weighed(gaussian_fit(0.4))
    assert found.k > 0.7
    assert not trusted(found)
    assert "nuts" in message(found)


def test_what_so_few_draws_cannot_confirm_does_not_hold() -> None:
    """120 draws confirm shapes up to 1 - 1 / log10(120), thousands up to 0.7."""
    assert "holds" in message(Weighed(0.2, 0.1, 0.5, 120))
    assert "too few to confirm" in message(Weighed(0.2, 0.1, 0.6, 120))
    assert "holds" in message(Weighed(0.2, 0.1, 0.6, 4000))
    assert "nuts" in message(Weighed(0.2, 0.1, 0.75, 4000))
    assert "nuts" in message(Weighed(0.2, 0.1, 0.76, 230))
    assert not trusted(Weighed(0.2, 0.1, np.inf, 230))


def test_too_few_draws_or_chains_are_not_weighed() -> None:
    assert weighed(gaussian_fit(), draws=20) is None
    fit = gaussian_fit()
    assert weighed(replace(fit, draws=np.zeros((50, SIZE)))) is None


def test_a_draw_at_which_the_data_cannot_be_computed_counts_for_nothing() -> None:
    fit = gaussian_fit(1.2)
    thetas = fit.draw(np.random.default_rng(0), 120)
    lost = np.where(np.arange(120) == 7, np.nan, log_lik(thetas))
    never = np.where(np.arange(120) == 7, -np.inf, log_lik(thetas))
    assert weigh(fit, thetas, lost) == weigh(fit, thetas, never)


def test_of_a_fit_it_holds(cohort, posterior) -> None:
    """The Laplace evidence of a simulated cohort is right within half a nat and three errors; draws of today bring their likelihoods."""
    whole, grid = posterior("dual"), cohort("dual").timeline.grid
    dual = MECHANISMS.index("dual")
    weight = np.eye(len(MECHANISMS))[[dual] * 2]
    drawn = posterior_ensemble(whole, grid, weight, 120, np.random.default_rng(1))
    assert drawn.mechanisms == (dual,)
    thetas = drawn.today[0].theta
    np.testing.assert_allclose(drawn.log_lik[0], pointwise(whole.layout, "dual", thetas, grid).sum(1), rtol=1e-12)
    found = weigh(whole.fits[dual], thetas, drawn.log_lik[0])
    assert found.draws == 120
    assert abs(found.gap) < 0.5 + 3 * found.error
    assert found.k < 1
