"""The favoured class: named where data tell, and not where the effect, the class or the difference is unknown."""

import numpy as np
import pytest

from remanent.dynamics.compare import settings
from remanent.dynamics.infer import Fit, Posterior
from remanent.dynamics.priors import MECHANISMS, Layout
from remanent.plan.classes import favoured

NAMES = ("rho[ssri]", "rho[lithium]", "alpha[ssri]", "alpha[lithium]")
LAYOUT = Layout(NAMES, (0.0,) * 4, (0.5,) * 4, (True,) * 4, ())
LIMITS = {"favoured_class": {"value": 0.95}, "sd_ratio": {"value": 0.6}}
DUAL = np.array([0.0, 0.0, 0.0, 1.0])
KNOWN = np.array([True, True])


def posterior(mode: list[float], sd: float) -> Posterior:
    fits = (Fit(m, np.array(mode), sd**2 * np.eye(4), 0.0, np.zeros(0), converged=True, message="") for m in MECHANISMS)
    return Posterior(LAYOUT, tuple(fits))


def ask(mode: list[float], sd: float, known: np.ndarray = KNOWN, weight: np.ndarray = DUAL):
    return favoured(posterior(mode, sd), weight, known, LIMITS, np.random.default_rng(0))


def test_a_clear_difference_is_named() -> None:
    (found,) = ask([0.0, 2.0, 0.0, 0.0], 0.3)
    assert (found.drug_class, found.effect) == ("lithium", 0)
    assert found.probability > 0.99
    assert "lithium holds function up most" in found.words


@pytest.mark.parametrize(
    ("mode", "sd", "known", "weight"),
    [
        ([0.0, 0.3, 0.0, 0.0], 0.3, KNOWN, DUAL),
        ([0.0, 4.0, 0.0, 0.0], 0.9, KNOWN, DUAL),
        ([0.0, 2.0, 0.0, 0.0], 0.3, np.array([False, True]), DUAL),
        ([0.0, 2.0, 0.0, 0.0], 0.3, KNOWN, np.array([1.0, 0.0, 0.0, 0.0])),
    ],
    ids=["too close", "not narrowed", "effect not identifiable", "no drug effect"],
)
def test_nothing_is_said(mode: list, sd: float, known: np.ndarray, weight: np.ndarray) -> None:
    assert ask(mode, sd, known, weight) == ()


def test_how_sure_it_must_be_is_a_setting() -> None:
    strict = LIMITS | {"favoured_class": {"value": 1.1}}
    assert favoured(posterior([0.0, 2.0, 0.0, 0.0], 0.3), DUAL, KNOWN, strict, np.random.default_rng(0)) == ()
    assert settings()["identifiable"]["favoured_class"]["value"] == 0.95
