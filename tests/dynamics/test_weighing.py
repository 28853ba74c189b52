"""Weights of a Laplace approximation's draws: Gaussian targets whose evidence is known, approximations that are wrong, and a fit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from remanent.dynamics import weighing
from remanent.dynamics.infer import Fit, Weighed
from remanent.dynamics.priors import MECHANISMS
from remanent.dynamics.weighing import message, trusted, weigh

SIZE = 6
ROOT = np.linalg.cholesky(0.5 * np.eye(SIZE) + 0.2)
MODE = np.linspace(-1, 1, SIZE)


def gaussian_fit(widening: float = 1.0, evidence: float = -100.0) -> Fit:
    return Fit("dual", MODE, widening**2 * ROOT @ ROOT.T, evidence, np.zeros(1), converged=True, message="converged")


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> None:
    """log p(y, theta): a Gaussian about MODE with root ROOT, times the evidence exp(-100)."""

    def log_joint(thetas: np.ndarray) -> np.ndarray:
        z = np.linalg.solve(ROOT, (thetas - MODE).T).T
        return -100 - 0.5 * (z**2).sum(1) - 0.5 * SIZE * np.log(2 * np.pi) - np.log(np.diag(ROOT)).sum()

    monkeypatch.setattr(weighing, "log_joint", lambda *_: log_joint)


@pytest.fixture
def weighed(cohort, target: None) -> Callable[..., Weighed | None]:
    one = cohort("dual")  # whose data are not looked at

    def weighed(fit: Fit, draws: int = 120) -> Weighed | None:
        return weigh(one.layout, fit, fit.draw(np.random.default_rng(0), draws), one.timeline.grid)

    return weighed


def test_an_exact_approximation_has_no_gap(weighed) -> None:
    found = weighed(gaussian_fit())
    assert abs(found.gap) < 1e-6
    assert found.error < 1e-6
    assert trusted(found)
    assert "holds" in message(found)


def test_a_wider_one_finds_the_evidence_and_a_wrong_evidence_shows(weighed) -> None:
    wider = weighed(gaussian_fit(1.2))
    assert abs(wider.gap) < 3 * wider.error
    assert 0 < wider.error < 0.2
    wrong = weighed(gaussian_fit(1.2, evidence=-103.0))
    assert wrong.gap == pytest.approx(wider.gap + 3, abs=1e-9)
    assert trusted(wider)
    assert not trusted(wrong)


def test_one_that_is_too_narrow_is_not_trusted(weighed) -> None:
    found = weighed(gaussian_fit(0.4))
    assert found.k > 0.7
    assert not trusted(found)
    assert "nuts" in message(found)


def test_too_few_draws_or_chains_are_not_weighed(weighed) -> None:
    assert weighed(gaussian_fit(), draws=20) is None
    fit = gaussian_fit()
    assert weighed(replace(fit, draws=np.zeros((50, SIZE)))) is None


def test_of_a_fit_it_holds(cohort, posterior) -> None:
    """The Laplace evidence of a simulated cohort is right within half a nat and three errors."""
    fit, grid = posterior("dual").fits[MECHANISMS.index("dual")], cohort("dual").timeline.grid
    found = weigh(posterior("dual").layout, fit, fit.draw(np.random.default_rng(1), 120), grid)
    assert found.draws == 120
    assert abs(found.gap) < 0.5 + 3 * found.error
    assert found.k < 1
