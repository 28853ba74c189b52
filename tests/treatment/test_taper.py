"""Plans: equal steps of effect or dose, tablets that exist, and clear refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remanent._errors import InputError, UsageError
from remanent.treatment.drugs import formulary, require
from remanent.treatment.exposure import DoseHistory, exposure
from remanent.treatment.taper import check_plan, daily_dose, dispensable, set_dose, stop, taper

INF = np.inf
FULL = {n: d.full_dose.value for n, d in formulary().drugs.items() if d.drug_class != "psychotherapy"}
SOLD = [n for n in FULL if require(n).strengths or require(n).liquid_step]
SATURABLE = [n for n in FULL if require(n).occupancy]


def doses(*segments: tuple[str, float, float, float]) -> DoseHistory:
    names, *columns = zip(*segments, strict=True) if segments else ((), (), (), ())
    return DoseHistory(tuple(names), *(np.array(c, dtype=float) for c in columns))


def on(name: str, scale: float = 1.0) -> DoseHistory:
    return doses((name, scale * FULL[name], -INF, INF))


def steady(name: str, mg: np.ndarray) -> np.ndarray:
    """Exposure at steady state on each dose."""
    return np.array([exposure(doses((name, x, -INF, INF)), np.zeros(1)).sum() for x in mg])


def weekly(plan: DoseHistory, name: str, day: float, weeks: int) -> np.ndarray:
    return daily_dose(plan, name, day + 7.0 * np.arange(-1, weeks + 1))


# Stop


def test_stop_ends_every_drug_on_the_day_and_leaves_the_past():
    history = doses(("Zoloft", 100, -INF, INF), ("lithium", 900, 3, 50), ("quetiapine", 50, 40, INF))
    stopped = stop(history, 20)
    days = np.array([-5.0, 10.0, 19.999, 20.0, 30.0, 45.0])
    np.testing.assert_array_equal(daily_dose(stopped, "sertraline", days), [100, 100, 100, 0, 0, 0])
    np.testing.assert_array_equal(daily_dose(stopped, "lithium", days), [0, 900, 900, 0, 0, 0])
    assert "quetiapine" not in stopped.drug


def test_stop_before_anything_was_given_leaves_nothing():
    assert stop(doses(("sertraline", 100, 5, INF)), 0.0).drug == ()
    assert stop(doses(), 0.0).drug == ()


def test_stop_of_one_drug_leaves_the_others():
    history = doses(("sertraline", 100, -INF, INF), ("lithium", 900, -INF, INF))
    stopped = stop(history, 0.0, drugs=["N05AN01"])
    assert daily_dose(stopped, "lithium", np.array([1.0]))[0] == 0
    assert daily_dose(stopped, "sertraline", np.array([1.0]))[0] == 100


def test_psychotherapy_is_not_withdrawn_with_the_drugs():
    history = doses(("CBT", 1, -INF, INF), ("sertraline", 100, -INF, INF))
    for plan in (stop(history, 0.0), taper(history, 0.0)):
        assert daily_dose(plan, "psychotherapy", np.array([500.0]))[0] == 1
        assert daily_dose(plan, "sertraline", np.array([500.0]))[0] == 0
    assert stop(history, 0.0, drugs=["CBT", "sertraline"]).stop_day.max() == 0.0


# Taper


@pytest.mark.parametrize("name", SATURABLE)
def test_hyperbolic_taper_takes_equal_steps_of_effect(name):
    mg = weekly(taper(on(name), 10.0, 12), name, 10.0, 12)
    assert mg[0] == FULL[name]
    assert mg[-1] == 0
    fall = -np.diff(steady(name, mg))
    np.testing.assert_allclose(fall, 1 / 13, rtol=1e-9)


def test_hyperbolic_doses_against_the_inverse_michaelis_menten():
    """Citalopram from 20 mg: mg at which the curve 0.92 mg/(mg + 2.85) gives equal falls, found by bisection."""

    def percent(mg):
        return 92 * mg / (mg + 2.85)

    plan = taper(doses(("citalopram", 20, -INF, INF)), 0.0, 4)
    mg = weekly(plan, "citalopram", 0.0, 4)
    for j in range(1, 5):
        low, high = 0.0, 20.0
        for _ in range(60):
            low, high = (
                ((low + high) / 2, high)
                if percent((low + high) / 2) < percent(20) * (1 - j / 5)
                else (low, (low + high) / 2)
            )
        assert mg[j] == pytest.approx(low, rel=1e-9)


@pytest.mark.parametrize("name", ["sertraline", "lithium"])
def test_linear_taper_takes_equal_steps_of_dose(name):
    mg = weekly(taper(on(name), 0.0, 12, "linear"), name, 0.0, 12)
    np.testing.assert_allclose(-np.diff(mg), FULL[name] / 13, rtol=1e-9)


def test_without_occupancy_curve_steps_of_effect_are_steps_of_dose():
    one, two = taper(on("lithium"), 0.0), taper(on("lithium"), 0.0, shape="linear")
    np.testing.assert_allclose(one.dose_mg_day, two.dose_mg_day, rtol=1e-12)


@pytest.mark.parametrize(("weeks", "steps"), [(0.5, 1), (1, 1), (4, 4), (12, 12), (24, 24), (30, 15), (52, 26)])
def test_step_length_is_one_or_two_weeks(weeks, steps):
    plan = taper(on("sertraline"), 5.0, weeks)
    down = plan.start_day[1:]
    assert down.size == steps
    np.testing.assert_allclose(np.diff(np.append(down, plan.stop_day[-1])), 7 * weeks / steps, rtol=1e-9)
    assert down[0] == 5.0
    assert plan.stop_day.max() == pytest.approx(5.0 + 7 * weeks)


def test_taper_starts_from_the_dose_of_that_day_and_drops_later_plans():
    history = doses(("sertraline", 50, -INF, 30), ("Zoloft", 100, 10, 20), ("sertraline", 200, 40, INF))
    plan = taper(history, 15.0, 6)
    assert daily_dose(plan, "sertraline", np.array([14.9]))[0] == 150
    ahead = daily_dose(plan, "sertraline", np.linspace(15, 100, 200))
    assert ahead.max() < 150
    assert ahead[-1] == 0


def test_drugs_not_taken_on_the_day_stay_off():
    history = doses(("sertraline", 100, -INF, 0), ("lithium", 900, -INF, INF), ("quetiapine", 100, 40, INF))
    plan = taper(history, 10.0)
    assert set(plan.drug) == {"sertraline", "lithium"}
    assert daily_dose(plan, "sertraline", np.array([10.0, 50.0])).max() == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(FULL)), st.floats(0.1, 1.0)), min_size=1, max_size=3, unique_by=lambda x: x[0]
    ),
    st.floats(1, 40),
    st.sampled_from(["hyperbolic", "linear"]),
)
def test_exposure_never_rises_during_a_taper(given_drugs, weeks, shape):
    history = doses(*[(name, share * FULL[name], -INF, INF) for name, share in given_drugs])
    plan = taper(history, 0.0, weeks, shape)
    D = exposure(plan, np.linspace(-5, 7 * weeks + 200, 400))
    assert np.diff(D, axis=1).max() <= 1e-9
    np.testing.assert_allclose(D[:, 0], exposure(history, np.zeros(1))[:, 0], rtol=1e-9)
    check_plan(history, plan, 0.0)


def test_a_taper_loses_less_in_its_worst_week_than_a_stop_and_a_hyperbolic_one_least():
    days = np.arange(0.0, 120.0, 0.25)
    history = on("sertraline")

    def worst_week(plan):
        D = exposure(plan, days).sum(axis=0)
        return (D[:-28] - D[28:]).max()

    hyperbolic, linear = worst_week(taper(history, 0.0)), worst_week(taper(history, 0.0, shape="linear"))
    assert hyperbolic < 0.11
    assert 5 * hyperbolic < linear < worst_week(stop(history, 0.0))


# Tablets


def combinations(name: str, up_to: float) -> set[int]:
    """Every sum of sold strengths in µg, by brute force."""
    drug = require(name)
    parts = [
        *(drug.strengths.values if drug.strengths else ()),
        *([drug.liquid_step.value] if drug.liquid_step else []),
    ]
    sums = {0}
    for part in parts:
        sums = {s + n * round(1000 * part) for s in sums for n in range(int(up_to / part) + 1)}
    return {s for s in sums if s <= round(1000 * up_to)}


@pytest.mark.parametrize("name", ["citalopram", "venlafaxine", "lithium", "duloxetine", "lofepramine", "agomelatine"])
def test_dispensable_doses_are_the_sums_of_what_is_sold(name):
    found = dispensable(require(name), 2.3 * FULL[name])
    assert {round(1000 * mg) for mg in found} == combinations(name, 2.3 * FULL[name])
    assert (np.diff(found) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SOLD), st.floats(0.05, 1.0), st.integers(1, 30), st.sampled_from(["hyperbolic", "linear"]))
def test_tablet_taper_is_monotone_nearest_and_sold(name, share, weeks, shape):
    history = on(name, share)
    exact, sold = taper(history, 0.0, weeks, shape), taper(history, 0.0, weeks, shape, tablets=True)
    days = np.linspace(0, 7 * weeks, 200)
    mg, wanted = daily_dose(sold, name, days), daily_dose(exact, name, days)
    assert (np.diff(mg) <= 1e-9).all()
    assert mg.max() <= share * FULL[name] + 1e-9
    available = dispensable(require(name), share * FULL[name])
    assert np.abs(mg[:, None] - available).min(axis=1).max() < 1e-9
    gaps = np.diff(available).max(initial=share * FULL[name])
    assert np.abs(mg - wanted).max() <= gaps + 1e-9


def test_tablets_that_are_not_known_are_said_so():
    with pytest.raises(UsageError, match="ketamine in tablets"):
        taper(on("ketamine"), 0.0, tablets=True)


def test_largest_step_is_kept_or_refused():
    history = on("citalopram")
    assert taper(history, 0.0, 12, largest_step=0.1).drug
    with pytest.raises(UsageError, match=r"citalopram takes \d+% of its effect at once.*at most 5%"):
        taper(history, 0.0, 12, largest_step=0.05)
    with pytest.raises(UsageError, match="duloxetine takes"):  # capsules of 20 mg: the last step is most of the effect
        taper(on("duloxetine"), 0.0, 12, tablets=True, largest_step=0.5)


# Other plans


def test_set_dose_replaces_what_was_planned_for_that_drug_only():
    history = doses(("sertraline", 100, -INF, INF), ("lithium", 300, -INF, 30), ("lithium", 900, 30, INF))
    plan = set_dose(history, 10, "Priadel", 600)
    days = np.array([9.0, 10.0, 40.0])
    np.testing.assert_array_equal(daily_dose(plan, "lithium", days), [300, 600, 600])
    np.testing.assert_array_equal(daily_dose(plan, "sertraline", days), [100, 100, 100])
    assert daily_dose(set_dose(history, 10, "lithium", 0), "lithium", days)[-1] == 0
    np.testing.assert_array_equal(daily_dose(set_dose(doses(), 0, "lithium", 600), "lithium", days), [600, 600, 600])


def test_plans_that_keep_the_past_pass():
    history = doses(("citalopram", 60, -INF, INF), ("lithium", 900, 0, INF))  # 60 mg is above today's maximum
    for plan in (history, stop(history, 50), taper(history, 50), set_dose(history, 50, "quetiapine", 50)):
        check_plan(history, plan, 50)
    check_plan(doses(), doses(), 0)


def test_plan_that_rewrites_the_past_is_refused():
    history = doses(("citalopram", 20, -INF, INF))
    with pytest.raises(UsageError, match=r"changes citalopram on day 10.*before today, day 50"):
        check_plan(history, stop(history, 10), 50)
    with pytest.raises(UsageError, match="changes lithium"):
        check_plan(history, doses(("citalopram", 20, -INF, INF), ("lithium", 600, -INF, INF)), 50)


def test_dose_above_the_maximum_is_refused():
    history = doses(("citalopram", 60, -INF, INF))
    with pytest.raises(UsageError, match=r"citalopram 80 mg/day.*maximum is 40"):
        set_dose(history, 0, "citalopram", 80)
    with pytest.raises(UsageError, match=r"citalopram 80"):
        check_plan(history, doses(("citalopram", 60, -INF, 5), ("citalopram", 80, 5, INF)), 5)
    with pytest.raises(UsageError, match="lithium -1"):
        set_dose(history, 0, "lithium", -1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"weeks": 0}, "over 0 weeks.*above 0, or use stop"),
        ({"weeks": -3}, "over -3 weeks"),
        ({"weeks": INF}, "over inf weeks"),
        ({"day": np.nan}, "from day nan"),
        ({"day": INF}, "from day inf"),
        ({"shape": "exponential"}, "shape 'exponential'.*hyperbolic.*linear"),
        ({"drugs": ["lithium"]}, "lithium was never given.*Name one of sertraline"),
    ],
)
def test_a_taper_that_makes_no_sense_is_refused(arguments, says):
    call = {"day": 0.0, "weeks": 12, "shape": "hyperbolic"} | arguments
    with pytest.raises(UsageError, match=says):
        taper(on("sertraline"), call.pop("day"), **call)


def test_unknown_drugs_are_refused_by_name():
    for call in (
        lambda: stop(doses(("sertralin", 50, -INF, INF)), 0),
        lambda: taper(on("sertraline"), 0, drugs=["litium"]),
        lambda: set_dose(on("sertraline"), 0, "quetiapin", 50),
    ):
        with pytest.raises(InputError, match="Did you mean"):
            call()


def test_a_taper_of_nothing_is_nothing():
    assert taper(doses(), 0.0).drug == ()
    assert taper(doses(("sertraline", 0.0, -INF, INF)), 0.0).dose_mg_day.sum() == 0


def test_names_and_classes_do_not_change_under_a_plan():
    """Every plan keeps each drug's class, whatever name it was recorded under."""
    for one, two in itertools.product(["Zoloft", "N06AB06", "sertraline"], [stop, taper]):
        plan = two(doses((one, 100, -INF, INF)), 0.0)
        assert {require(n).name for n in plan.drug} == {"sertraline"}


def test_drugs_that_are_no_longer_taken_do_not_stand_in_the_way_of_a_taper():
    """Nothing is known of tablets of ketamine, and nobody needs to: it ended long ago."""
    history = doses(("ketamine", 35, -300, -200), ("sertraline", 100, -100, INF))
    plan = taper(history, 0.0, tablets=True)
    days = np.arange(0.0, 84.0)
    now = taper(doses(("sertraline", 100, -100, INF)), 0.0, tablets=True)
    assert daily_dose(plan, "sertraline", days).tolist() == daily_dose(now, "sertraline", days).tolist()
    assert daily_dose(plan, "ketamine", np.array([-250.0, 10.0])).tolist() == [35, 0]
