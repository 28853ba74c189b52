"""Error rates of the advice: against truths written down by hand, and against realised errors of simulated truths."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from remanent.plan.errors import Truths, of_patient, of_rule, words

LIMITS = {"least_hold": 0.8, "most_extra_relapse": 0.1}


def truths(hold: list, stay: list, tapered: list, months: list) -> Truths:
    """Equally weighted draws of one patient."""
    columns = (np.array(v, float)[:, None] for v in (hold, stay, tapered, months))
    return Truths(*columns, np.full((len(hold), 1), 1 / len(hold)))


def everyone(count: int) -> dict[str, np.ndarray]:
    """The same limits for each patient."""
    return {name: np.full(count, v) for name, v in LIMITS.items()}


FOUR = truths([0.9, 0.85, 0.7, 0.6], [0.95, 0.95, 0.9, 0.9], [0.92, 0.8, 0.75, 0.95], [6, 6, 5, 5])


def test_false_reassurance_by_hand() -> None:
    found = of_patient("taper", FOUR, 0, LIMITS)
    assert_allclose(found.below.mean, 0.5)
    assert_allclose(found.below.error, 0.25)
    assert_allclose(found.caused.mean, (0.03 + 0.15 + 0.15 + 0) / 4)
    assert found.needless is None
    assert_allclose(found.cases, 4)


def test_needless_months_by_hand() -> None:
    """Only the first draw holds without drugs and would lose little by a taper."""
    found = of_patient("hold", FOUR, 0, LIMITS)
    assert_allclose(found.needless.mean, 0.25)
    assert_allclose(found.needless_months.mean, 6 / 4)
    assert found.below is None


@pytest.mark.parametrize("code", ["act", "treat_first", "not_enough_data"])
def test_other_advice_claims_no_rate(code: str) -> None:
    found = of_patient(code, FOUR, 0, LIMITS)
    assert (found.below, found.caused, found.needless, found.needless_months) == (None,) * 4
    assert words(found, None, 182.0) == ""


def test_certainty_is_never_claimed_from_few_draws() -> None:
    safe = of_patient("taper", truths([0.9] * 50, [0.9] * 50, [0.9] * 50, [6] * 50), 0, LIMITS)
    assert safe.below.mean == 0
    assert_allclose(safe.below.error, 0.01)


def test_stated_rates_are_realised_when_draws_are_posterior_draws() -> None:
    """Patients whose truth and draws come from one law each: over patients, stated means match the realised share."""
    rng = np.random.default_rng(3)
    patients, draws = 2000, 200
    centre = rng.normal(1.5, 1.0, patients)
    logit = centre + rng.normal(0, 0.5, (draws + 1, patients))
    hold = 1 / (1 + np.exp(-logit))
    stay = hold + (1 - hold) * 0.5
    every = Truths(hold, stay, hold, 6 * stay, np.full((draws, patients), 1 / draws))
    possible = Truths(*(v[1:] for v in every[:4]), every.weight)
    real = Truths(*(v[:1] for v in every[:4]), np.ones((1, patients)))
    lower = np.quantile(possible.hold, 0.05, axis=0)
    codes = ["taper" if low >= 0.8 else "hold" for low in lower]
    rule = of_rule(codes, real, everyone(patients))
    for code, name in (("taper", "below"), ("hold", "needless"), ("hold", "needless_months")):
        stated = np.mean(
            [getattr(of_patient(code, possible, i, LIMITS), name).mean for i in range(patients) if codes[i] == code]
        )
        realised = getattr(rule[code], name)
        assert abs(stated - realised.mean) < 4 * realised.error
    assert 0.1 < np.mean(np.array(codes) == "taper") < 0.6


def test_too_few_virtual_patients_say_nothing() -> None:
    few = Truths(*(v.T[:, :4] for v in FOUR))
    assert of_rule(["taper", "taper", "hold", "hold"], few, everyone(4)) == {}


def test_words() -> None:
    """Each rate is said once, the patient's own first; a rule that was not tried has none."""
    taper, hold = (of_patient(code, FOUR, 0, LIMITS) for code in ("taper", "hold"))
    assert "as the rule demands: 50 % (± 25) for this patient, 50 % (± 25) in 4 virtual" in words(taper, taper, 182.0)
    said = words(hold, None, 182.0)
    assert "needless months on drugs within 182 days: 1.5 (± 1.3); too few virtual patients" in said
    assert said.count("for this patient") == 1
