"""Serum levels scale exposure to the patient's own clearance."""

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.treatment.exposure import (
    DoseHistory,
    Levels,
    change_days,
    exposure,
    levels_used,
    mean_exposure,
    serum_levels,
)

INF = np.inf


def doses(*segments: tuple[str, float, float, float]) -> DoseHistory:
    names, *columns = zip(*segments, strict=True) if segments else ((), (), (), ())
    return DoseHistory(tuple(names), *(np.array(c, dtype=float) for c in columns))


def levels(*rows: tuple[str, float, float]) -> Levels:
    names, day, value = zip(*rows, strict=True)
    return Levels(tuple(names), np.array(day, dtype=float), np.array(value, dtype=float))


def total(history: DoseHistory, days, *args) -> np.ndarray:
    return exposure(history, np.asarray(days, dtype=float), *args).sum(axis=0)


def test_level_on_target_makes_any_dose_a_full_one():
    history = doses(("lithium", 400, -INF, INF))
    D = total(history, [0.0, 100.0], levels(("lithium", 30.0, 0.7)))
    np.testing.assert_allclose(D, 1.0, rtol=1e-12)
    assert total(history, [0.0])[0] == pytest.approx(400 / 900)


def test_levels_interpolate_without_a_jump():
    history = doses(("lithium", 900, -INF, INF))
    lab = levels(("lithium", 10.0, 0.35), ("lithium", 30.0, 0.7), ("lithium", 30.0, 0.7))
    np.testing.assert_allclose(total(history, [0, 10, 20, 30, 99], lab), [0.5, 0.5, 0.75, 1.0, 1.0], rtol=1e-12)
    edges = np.array([0.0, 20.0, 40.0])
    np.testing.assert_allclose(mean_exposure(history, edges, lab).sum(axis=0), [0.5625, 0.9375], atol=1e-9)


def test_own_clearance_outlives_the_level():
    """Half the expected level means half the exposure at the next dose too."""
    history = doses(("nortriptyline", 100, -INF, 50), ("nortriptyline", 50, 50, INF))
    lab = levels(("Pamelor", 20.0, 50.0))
    on_half = exposure(doses(("nortriptyline", 25, -INF, INF)), np.array([0.0]))
    np.testing.assert_allclose(exposure(history, np.array([500.0]), lab), on_half, rtol=1e-9)


def test_levels_that_say_nothing_are_not_used():
    history = doses(("lithium", 900, 0, 10), ("phenelzine", 60, -INF, INF))
    lab = levels(("lithium", -5.0, 0.7), ("lithium", 9.0, 0.7), ("lithium", 90.0, 0.1), ("phenelzine", 5.0, 3.0))
    np.testing.assert_array_equal(levels_used(history, lab), [False, True, False, False])
    only = levels(("lithium", -5.0, 0.7))
    days = np.linspace(-10, 30, 9)
    np.testing.assert_array_equal(exposure(history, days, only), exposure(history, days))


def test_cuts_follow_the_levels():
    history = doses(("lithium", 900, -INF, INF))
    lab = levels(("lithium", 0.0, 0.35), ("lithium", 100.0, 1.05))
    cuts = change_days(history, -50, 150, levels=lab)
    edges = np.concatenate([[-50.0], cuts, [150.0]])
    mean = mean_exposure(history, edges, lab)
    for j in range(len(edges) - 1):
        inside = exposure(history, np.linspace(edges[j], edges[j + 1], 50), lab)
        assert np.abs(inside - mean[:, [j]]).max() <= 0.051
    assert cuts.size < 20


def test_labs_give_levels_and_say_what_they_do_not():
    found, refused = serum_levels(
        ("crp", "lithium", "N06AA10", "phenelzine", "sertraline"),
        np.arange(5.0),
        np.array([3.0, 0.6, 400.0, 1.0, 20.0]),
        ("mg/L", "mEq/L", "nmol/L", "ng/mL", "furlongs"),
    )
    assert found.drug == ("lithium", "nortriptyline")
    np.testing.assert_allclose(found.value, [0.6, 105.4], rtol=1e-3)
    np.testing.assert_array_equal(found.day, [1.0, 2.0])
    assert len(refused) == 2
    assert "phenelzine" in refused[0]
    assert "furlongs" in refused[1]


def test_no_levels_change_nothing():
    history = doses(("lithium", 900, 0, INF))
    none, refused = serum_levels((), np.empty(0), np.empty(0), ())
    assert refused == ()
    days = np.linspace(-5, 30, 7)
    np.testing.assert_array_equal(exposure(history, days, none), exposure(history, days))


@pytest.mark.parametrize(("day", "value"), [(np.nan, 0.7), (0.0, np.nan), (0.0, -0.7), (INF, 0.7)])
def test_a_level_that_makes_no_sense_is_refused(day, value):
    with pytest.raises(InputError, match="negative or missing"):
        levels(("lithium", day, value))
