"""Standard plans: what each does to a dose history from today on, and to exposure."""

from itertools import pairwise

import numpy as np
import pytest

from remanent.dynamics.grid import Medication
from remanent.plan.plans import continued
from remanent.plan.simulate import PLAN_WORDS, STANDARD_PLANS, planned_exposure
from remanent.treatment.drugs import NOT_DRUGS
from remanent.treatment.exposure import CLASSES, DoseHistory, Levels, exposure

NO_LEVELS = Levels((), np.empty(0), np.empty(0))
EDGES = np.arange(0.0, 365.0, 7.0)
IS_DRUG = np.array([name not in NOT_DRUGS for name in CLASSES])


def history(*rows: tuple[str, float, float, float]) -> DoseHistory:
    drug, dose, start, stop = zip(*rows, strict=True) if rows else ((), (), (), ())
    return DoseHistory(tuple(drug), *(np.array(column, float) for column in (dose, start, stop)))


def rows_of(doses: DoseHistory) -> set[tuple[str, float, float, float]]:
    return set(zip(doses.drug, doses.dose_mg_day, doses.start_day, doses.stop_day, strict=True))


def planned(plan: str, doses: DoseHistory, today: float, levels: Levels = NO_LEVELS) -> np.ndarray:
    given = [Medication(doses, levels)]
    return planned_exposure(STANDARD_PLANS[plan], given, np.array([today], float), EDGES)[IS_DRUG, :, 0].sum(0)


def by_quadrature(doses: DoseHistory, edges: np.ndarray) -> np.ndarray:
    """Mean exposure to all drugs between edges by the midpoint rule on hundredths of a day."""
    days = np.arange(edges[0], edges[-1], 0.01) + 0.005
    total = exposure(doses, days)[IS_DRUG].sum(0)
    return np.array([total[(days > a) & (days < b)].mean() for a, b in pairwise(edges)])


def test_every_plan_has_words() -> None:
    assert list(STANDARD_PLANS) == ["continue", "taper", "stop"]
    assert set(PLAN_WORDS) == set(STANDARD_PLANS)


def test_continued_keeps_what_runs_whatever_was_planned() -> None:
    doses = history(("sertraline", 100, -10, 150), ("lithium", 600, 20, np.inf), ("sertraline", 50, 150, 200))
    assert rows_of(continued(doses, 100.0)) == {("sertraline", 100, -10, np.inf), ("lithium", 600, 20, np.inf)}


def test_continued_keeps_what_is_over_but_still_fades() -> None:
    doses = history(("fluoxetine", 20, -50, 90), ("sertraline", 100, 90, np.inf))
    assert rows_of(continued(doses, 100.0)) == rows_of(doses)
    assert planned("continue", doses, 92)[0] == pytest.approx(by_quadrature(doses, 92 + EDGES[:2])[0], abs=1e-4)


def test_a_dose_that_starts_or_stops_today() -> None:
    doses = history(("sertraline", 50, 0, 100), ("sertraline", 100, 100, 130))
    assert rows_of(continued(doses, 100.0)) == {("sertraline", 50, 0, 100), ("sertraline", 100, 100, np.inf)}


def test_a_single_session_of_ketamine_is_not_repeated() -> None:
    doses = history(("ketamine", 35, 99, 100), ("ketamine", 35, 100, 101), ("venlafaxine", 150, 0, np.inf))
    assert rows_of(continued(doses, 100.0)) == rows_of(doses)
    alone = planned("continue", history(("ketamine", 35, 100, 101)), 100)
    assert alone[0] > 0.05
    assert alone[8] < 0.01


def test_nobody_and_nothing() -> None:
    for plan in STANDARD_PLANS:
        assert np.array_equal(planned(plan, history(), 100), np.zeros(52))
    assert planned_exposure(STANDARD_PLANS["stop"], [], np.empty(0), EDGES).shape == (len(CLASSES), 52, 0)


def test_continue_stands_still_at_the_usual_full_dose() -> None:
    assert planned("continue", history(("venlafaxine", 150, -100, np.inf)), 50) == pytest.approx(np.ones(52), abs=1e-6)


def test_stop_fades_with_the_half_life() -> None:
    """Lithium has no occupancy curve: exposure is the concentration, which halves with each half-life."""
    doses = history(("lithium", 600, -1000, np.inf))
    level = planned("continue", doses, 0)[0]
    fading = planned("stop", doses, 0)
    assert fading == pytest.approx(by_quadrature(history(("lithium", 600, -1000, 0)), EDGES), abs=1e-4)
    # The area under an exponential: level * half-life / ln 2.
    days = fading.sum() * 7 / level
    one_half_life = np.log(2) * days
    after = exposure(history(("lithium", 600, -1000, 0)), np.array([one_half_life]))[IS_DRUG].sum()
    assert after == pytest.approx(level / 2, rel=1e-3)


@pytest.mark.parametrize("drug", [("sertraline", 100), ("venlafaxine", 150), ("nortriptyline", 100), ("lithium", 600)])
def test_taper_lies_between_stop_and_continue_and_ends(drug: tuple[str, float]) -> None:
    doses = history((*drug, -300, np.inf))
    kept, tapered, stopped = (planned(plan, doses, 10) for plan in ("continue", "taper", "stop"))
    assert (stopped <= tapered + 1e-9).all()
    assert (tapered <= kept + 1e-9).all()
    assert (np.diff(tapered) <= 1e-9).all()
    assert tapered[:11].min() > 0.02
    assert tapered[16:].max() < 0.02
    assert stopped[3:].max() < 0.03


def test_the_taper_takes_equal_steps_of_effect() -> None:
    """At the end of each week of twelve, when a short-lived drug has settled, exposure is (12 - week) / 13 of the start."""
    week_ends = 7.0 * np.arange(1, 13) - 0.001
    doses = STANDARD_PLANS["taper"](history(("venlafaxine", 150, -300, np.inf)), 0.0)
    found = exposure(doses, week_ends)[IS_DRUG].sum(0)
    assert found == pytest.approx((13 - np.arange(1, 13)) / 13, abs=2e-3)


def test_serum_levels_carry_over_to_later_doses() -> None:
    levels = Levels(("lithium",), np.array([5.0]), np.array([1.6]))
    doses = history(("lithium", 600, -300, np.inf))
    doubled = planned("continue", doses, 10, levels) / planned("continue", doses, 10)
    assert doubled.std() == pytest.approx(0, abs=1e-9)
    assert (planned("stop", doses, 10, levels)[0] > planned("stop", doses, 10)[0]) == (doubled[0] > 1)


def test_psychotherapy_goes_on_under_every_plan() -> None:
    doses = history(("psychotherapy", 1, 0, np.inf), ("sertraline", 100, 0, np.inf))
    for plan in STANDARD_PLANS.values():
        kept = [row for row in rows_of(plan(doses, 50.0)) if row[0] == "psychotherapy"]
        assert kept == [("psychotherapy", 1, 0, np.inf)]
    assert planned("stop", history(("psychotherapy", 1, 0, np.inf)), 50) == pytest.approx(np.zeros(52))


def test_each_patient_has_their_own_today() -> None:
    given = [Medication(history(("lithium", 600, 0, np.inf)), NO_LEVELS) for _ in range(2)]
    both = planned_exposure(STANDARD_PLANS["stop"], given, np.array([1.0, 100.0]), EDGES)[IS_DRUG].sum(0)
    assert both[0, 0] < both[0, 1]
