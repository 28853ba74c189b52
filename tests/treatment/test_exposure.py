"""Exposure against integrated equations, published occupancies and its own invariants."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from remanent._errors import InputError
from remanent.treatment.drugs import CLASSES, formulary, require
from remanent.treatment.exposure import DoseHistory, change_days, exposure, mean_exposure

INF = np.inf
NAMES = sorted(formulary().drugs)
FULL = {name: drug.full_dose.value for name, drug in formulary().drugs.items()}


def doses(*segments: tuple[str, float, float, float]) -> DoseHistory:
    names, *columns = zip(*segments, strict=True) if segments else ((), (), (), ())
    return DoseHistory(tuple(names), *(np.array(c, dtype=float) for c in columns))


def row(name: str) -> int:
    return CLASSES.index(require(name).drug_class)


def total(history: DoseHistory, days, *args) -> np.ndarray:
    return exposure(history, np.asarray(days, dtype=float), *args).sum(axis=0)


@st.composite
def courses(draw, most=5):
    """Segments of a history (built outside: Hypothesis wants no other randomness, and shape checks sample)."""
    segments = []
    for _ in range(draw(st.integers(0, most))):
        name = draw(st.sampled_from(NAMES))
        dose = draw(st.floats(0.0, 1.0)) * FULL[name]
        start = draw(st.one_of(st.just(-INF), st.floats(-50, 100)))
        length = draw(st.one_of(st.just(INF), st.floats(0.0, 80)))
        stop = draw(st.floats(-50, 100)) if start == -INF and length != INF else start + length
        segments.append((name, dose, start, INF if length == INF else stop))
    return segments


# Against independent derivations


@pytest.mark.parametrize("name", NAMES)
def test_full_dose_forever_is_one(name):
    D = exposure(doses((name, require(name).full_dose.value, -INF, INF)), np.array([-1000.0, 0.0, 1000.0]))
    np.testing.assert_allclose(D[row(name)], 1.0, rtol=1e-12)
    assert np.delete(D, row(name), axis=0).max() == 0.0


@pytest.mark.parametrize("name", ["lithium", "mirtazapine", "fluoxetine", "sertraline", "tranylcypromine"])
def test_half_life_of_concentration(name):
    """After n half-lives 2^-n of the concentration is left, and D follows from the occupancy curve."""
    drug = require(name)
    n = np.arange(6.0)
    D = exposure(doses((name, drug.full_dose.value, -INF, 0.0)), n * drug.lag_half_life_days)[row(name)]
    dose_like = drug.full_dose.value * 0.5**n
    if drug.occupancy is None:
        np.testing.assert_allclose(D, dose_like / drug.full_dose.value, rtol=1e-12)
    else:
        ed50, emax = drug.occupancy.ed50.value, drug.occupancy.emax.value
        full = emax * drug.full_dose.value / (drug.full_dose.value + ed50)
        np.testing.assert_allclose(D, emax * dose_like / (dose_like + ed50) / full, rtol=1e-12)


@pytest.mark.parametrize(
    "segments",
    [
        [("lithium", 900, 0, 40), ("lithium", 450, 40, INF)],
        [("sertraline", 100, -INF, 10), ("sertraline", 50, 10, 30)],
        [("sertraline", 100, -INF, 10), ("citalopram", 20, 5, 30), ("paroxetine", 20, 20, INF)],
        [("nortriptyline", 100, 0, INF), ("clomipramine", 75, 10, 20), ("imipramine", 100, 5, 15)],
    ],
)
def test_against_integrated_differential_equation(segments):
    """Same D as integrating dC/dt = k (dose/full - C) numerically and combining the drugs of a class by hand."""
    history = doses(*segments)
    drugs = [require(name) for name in dict.fromkeys(history.drug)]
    k = np.log(2) / np.array([d.lag_half_life_days for d in drugs])

    def given(t, drug):
        on = [(n == drug.name) * (a <= t < b) * mg for n, mg, a, b in segments]
        return sum(on) / drug.full_dose.value

    C = np.array([given(-1e9, d) for d in drugs])
    t0, days, states = -1.0, [-1.0], [C]
    for stop in np.append(np.unique([x for s in segments for x in s[2:] if np.isfinite(x)]), 60.0):
        rate = np.array([given((t0 + stop) / 2, d) for d in drugs])
        solved = solve_ivp(lambda _, c, r=rate: k * (r - c), (t0, stop), C, rtol=1e-10, atol=1e-12)
        t0, C = stop, solved.y[:, -1]
        days.append(stop)
        states.append(C)
    expected = np.zeros((len(CLASSES), len(days)))
    for i, C in enumerate(states):
        for cls in {d.drug_class for d in drugs}:
            for target in {d.occupancy.target if d.occupancy else None for d in drugs if d.drug_class == cls}:
                mine = [
                    (d, c)
                    for d, c in zip(drugs, C, strict=True)
                    if d.drug_class == cls and (d.occupancy.target if d.occupancy else None) == target
                ]
                if target is None:
                    expected[CLASSES.index(cls), i] += sum(c for _, c in mine)
                    continue
                x = [c * d.full_dose.value / d.occupancy.ed50.value for d, c in mine]
                at_full = [d.full_dose.value / (d.full_dose.value + d.occupancy.ed50.value) for d, _ in mine]
                occupied = [xi / (1 + sum(x)) for xi in x]
                expected[CLASSES.index(cls), i] += sum(o / f for o, f in zip(occupied, at_full, strict=True))
    np.testing.assert_allclose(exposure(history, np.array(days)), expected, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(courses(), st.lists(st.floats(-60, 250), min_size=2, max_size=6))
@example(
    [("agomelatine", 50.0, -INF, INF), ("agomelatine", 43.75, -INF, INF), ("agomelatine", 0.0, 2e-308, INF)], [0.0, 1.0]
)
def test_interval_means_against_adaptive_quadrature(course, edges):
    history = doses(*course)
    edges = np.sort(np.array(edges))
    mean = mean_exposure(history, edges)
    bends = np.concatenate([history.start_day, history.stop_day])
    fast = [b + h for b in bends[np.isfinite(bends)] for h in (0.1, 0.5, 2.0, 8.0, 30.0)]
    for j, (a, b) in enumerate(pairwise(edges)):
        if b - a < 1e-6:
            continue
        inside = sorted({p for p in (*bends, *fast) if a < p < b})
        area = integral(lambda days: total(history, days), np.array([a, *inside, b]))
        assert mean[:, j].sum() == pytest.approx(area / (b - a), abs=1e-6)


def integral(curve, cuts):
    """Gauss-Legendre on each piece, all pieces halved until the integral stands."""
    x, weight = np.polynomial.legendre.leggauss(20)
    last = np.inf
    for _ in range(12):
        half = np.diff(cuts) / 2
        middle = cuts[:-1] + half
        days = middle[:, None] + half[:, None] * x
        area = (curve(days.ravel()).reshape(days.shape) @ weight) @ half
        if abs(area - last) <= 1e-9:
            return area
        last, cuts = area, np.sort(np.concatenate([cuts, middle]))
    raise AssertionError("the integral does not settle")


def test_mean_over_no_time_is_the_value():
    history = doses(("sertraline", 100, 0, 10))
    edges = np.array([3.0, 3.0, 12.0, 12.0])
    np.testing.assert_array_equal(mean_exposure(history, edges)[:, [0, 2]], exposure(history, np.array([3.0, 12.0])))


# Against published measurements


def test_citalopram_occupancy_table():
    """Horowitz & Taylor 2019, citalopram: mg to SERT occupancy, within 1.7 points."""
    table = {60: 87.8, 40: 85.9, 20: 80.5, 9.1: 70, 5.4: 60, 3.4: 50, 2.3: 40, 1.5: 30, 0.8: 20, 0.37: 10}
    occupancy = require("citalopram").occupancy
    full = 100 * occupancy.emax.value * 40 / (40 + occupancy.ed50.value)
    for mg, percent in table.items():
        D = total(doses(("citalopram", mg, -INF, INF)), [0.0])[0]
        assert D * full == pytest.approx(percent, abs=1.75)


@pytest.mark.parametrize(
    ("name", "mg", "percent", "within"),
    [
        ("paroxetine", 20, 83, 5),  # Meyer 2001, 10.1176/appi.ajp.158.11.1843
        ("citalopram", 20, 77, 5),
        ("sertraline", 50, 82, 5),  # Meyer 2004: 76-85 % at the minimum therapeutic dose of five drugs
        ("fluoxetine", 20, 76, 5),
        ("venlafaxine", 75, 84, 5),
        ("vortioxetine", 5, 50, 3),  # label
        ("vortioxetine", 10, 65, 3),
        ("vortioxetine", 20, 80, 3),
        ("milnacipran", 50, 33.0, 6),  # Nogami 2013
        ("milnacipran", 100, 38.6, 8),
        ("milnacipran", 200, 61.5, 3),
        ("nortriptyline", 75, 50, 5),  # Takano 2014: 50-70 % at 75-200 mg
        ("nortriptyline", 200, 70, 6),
        ("duloxetine", 60, 84.3, 5),  # Takano 2006
        ("clomipramine", 10, 80, 1),  # Suhara 2003
        ("fluvoxamine", 50, 80, 1),
    ],
)
def test_occupancy_seen_in_pet(name, mg, percent, within):
    occupancy = require(name).occupancy
    assert 100 * occupancy.emax.value * mg / (mg + occupancy.ed50.value) == pytest.approx(percent, abs=within)


def test_duloxetine_occupancy_outlasts_its_plasma_level():
    """Takano 2006: 84.3 % at 6 h, 71.9 % at 49 h and 47.1 % at 78 h after the last of repeated doses of 60 mg."""
    history = doses(("duloxetine", 60, -INF, 0.0))
    drug = require("duloxetine")
    at_full = 100 * 60 / (60 + drug.occupancy.ed50.value)
    D = total(history, np.array([6, 49, 78]) / 24)
    np.testing.assert_allclose(D * at_full, [84.3, 71.9, 47.1], atol=6)


def test_weekly_esketamine_sessions_average_one():
    days = np.arange(0, 7 * 40, 7.0)
    history = doses(*[("Spravato", 84.0, day, day + 1) for day in days])
    mean = mean_exposure(history, np.array([210.0, 273.0]))[row("esketamine"), 0]
    assert mean == pytest.approx(1.0, abs=0.01)
    D = exposure(history, np.array([days[-1] + 1, days[-1] + 6]))[row("esketamine")]
    assert D[0] == pytest.approx(2 * D[1], rel=1e-9)  # effect half-life 5 days


# Invariants


@settings(max_examples=100, deadline=None)
@given(courses(), st.lists(st.floats(-500, 500), min_size=1, max_size=10))
def test_exposure_is_between_zero_and_its_ceiling(course, days):
    history = doses(*course)
    D = exposure(history, np.array(days))
    assert D.shape == (len(CLASSES), len(days))
    assert np.isfinite(D).all()
    assert D.min() >= -1e-12
    ceiling = np.zeros(len(CLASSES))
    for name, mg in zip(history.drug, history.dose_mg_day, strict=True):
        ceiling[row(name)] += mg / require(name).full_dose.value * (1 + require(name).saturation)
    assert (ceiling[:, None] - D).min() >= -1e-9


@settings(max_examples=50, deadline=None)
@given(courses(), st.floats(-40, 200))
def test_no_jump_anywhere(course, day):
    history = doses(*course)
    days = np.concatenate([[day], history.start_day, history.stop_day])
    days = days[np.isfinite(days)]
    np.testing.assert_allclose(exposure(history, days - 1e-9), exposure(history, days + 1e-9), atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(courses(), st.floats(-30, 30))
def test_time_has_no_origin(course, shift):
    history = doses(*course)
    moved = DoseHistory(history.drug, history.dose_mg_day, history.start_day + shift, history.stop_day + shift)
    days = np.linspace(-20.0, 120.0, 9)
    np.testing.assert_allclose(exposure(moved, days + shift), exposure(history, days), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(courses(most=3), st.floats(0.05, 0.95), st.floats(-40, 120))
def test_cutting_a_segment_or_splitting_a_dose_changes_nothing(course, share, day):
    history = doses(*course)
    day_split, dose_split = [], []
    columns = (history.drug, history.dose_mg_day, history.start_day, history.stop_day)
    for name, mg, a, b in zip(*columns, strict=True):
        cut = min(max(day, a), b)
        day_split += [(name, mg, a, cut), (name, mg, cut, b)] if np.isfinite(cut) else [(name, mg, a, b)]
        dose_split += [(name, share * mg, a, b), (name, (1 - share) * mg, a, b)]
    days = np.linspace(-60.0, 200.0, 14)
    for other in (day_split, dose_split):
        np.testing.assert_allclose(exposure(doses(*other), days), exposure(history, days), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(courses(), courses())
def test_drugs_of_different_targets_add(first, second):
    """Exposure of the union is at most the sum; equal where no target is shared or none saturates."""
    one, two = doses(*first), doses(*second)
    columns = ("dose_mg_day", "start_day", "stop_day")
    both = DoseHistory(one.drug + two.drug, *(np.concatenate([getattr(one, c), getattr(two, c)]) for c in columns))
    days = np.linspace(-60.0, 200.0, 14)
    apart, together = exposure(one, days) + exposure(two, days), exposure(both, days)
    assert (together <= apart + 1e-9).all()
    linear = [c for c in CLASSES if not any(require(n).occupancy for n in both.drug if require(n).drug_class == c)]
    rows = [CLASSES.index(c) for c in linear]
    np.testing.assert_allclose(together[rows], apart[rows], atol=1e-9)


@pytest.mark.parametrize("one", [n for n in NAMES if require(n).occupancy])
@pytest.mark.parametrize("two", ["citalopram", "vortioxetine", "nortriptyline"])
def test_more_of_either_drug_is_never_less(one, two):
    """Up to the full dose of each, competition for a target never turns more drug into less exposure."""
    steps = np.linspace(0.0, 1.0, 6)
    grid = np.array(
        [
            [
                total(
                    doses(
                        (one, a * require(one).full_dose.value, -INF, INF),
                        (two, b * require(two).full_dose.value, -INF, INF),
                    ),
                    [0.0],
                )[0]
                for a in steps
            ]
            for b in steps
        ]
    )
    assert (np.diff(grid, axis=0) > -1e-12).all()
    assert (np.diff(grid, axis=1) > -1e-12).all()


def test_nothing_given_is_zero():
    days = np.array([-5.0, 0.0, 5.0])
    for history in (doses(), doses(("sertraline", 0.0, -INF, INF)), doses(("lithium", 900, 4, 4))):
        assert np.abs(exposure(history, days)).max() == 0.0
        assert np.abs(mean_exposure(history, days)).max() == 0.0


def test_long_before_the_start_and_long_after_the_stop():
    history = doses(("fluoxetine", 40, 0, 100))
    D = total(history, [-1e6, 0.0, 1e6])
    np.testing.assert_array_equal(D, [0.0, 0.0, 0.0])


# Cuts


@settings(max_examples=60, deadline=None)
@given(courses(), st.sampled_from([0.02, 0.05, 0.1]))
def test_between_cuts_the_mean_stands_for_the_curve(course, tolerance):
    history = doses(*course)
    first, last = -60.0, 300.0
    cuts = change_days(history, first, last, tolerance=tolerance)
    edges = np.concatenate([[first], cuts, [last]])
    assert (np.diff(edges) > 0).all()
    mean = mean_exposure(history, edges)
    length = np.diff(edges)
    for j in np.flatnonzero(length > 0.25 + 1e-9):
        inside = exposure(history, np.linspace(edges[j], edges[j + 1], 200))
        assert np.abs(inside - mean[:, [j]]).max() <= 1.02 * tolerance


@pytest.mark.parametrize("name", ["sertraline", "lithium", "fluoxetine", "bupropion", "moclobemide"])
def test_a_stop_needs_few_cuts(name):
    cuts = change_days(doses((name, require(name).full_dose.value, -INF, 10.0)), 0.0, 365.0)
    assert cuts[0] == 10.0
    assert 3 <= cuts.size <= 14


def test_every_start_and_stop_is_a_cut():
    history = doses(("sertraline", 100, -INF, 50), ("lithium", 900, 7, INF))
    assert {7.0, 50.0} <= set(change_days(history))
    assert change_days(history, 10, 40).min() > 10
    assert change_days(history, 10, 40).max() < 40
    assert change_days(doses()).size == 0
    assert change_days(doses(("sertraline", 100, -INF, INF)), 0, 100).size == 0


def test_cuts_after_an_earlier_change_are_kept():
    """A window that opens while D still falls is cut too."""
    history = doses(("fluoxetine", 40, -INF, 0.0))
    whole = change_days(history, -10, 200)
    late = change_days(history, 20, 200)
    assert late.size >= np.count_nonzero(whole > 20) - 1 > 3


# Mistakes


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        (("sertraline", -1.0, 0, 1), "segment 1, sertraline: dose -1.0"),
        (("sertraline", np.nan, 0, 1), "dose nan"),
        (("sertraline", INF, 0, 1), "dose inf"),
        (("sertraline", 50, 5, 1), "stops on day 1.0 and starts on day 5.0"),
        (("sertraline", 50, np.nan, 1), "starts on day nan"),
        (("sertraline", 50, INF, INF), "starts on day inf"),
        (("sertraline", 50, -INF, -INF), "stops on day -inf"),
    ],
)
def test_a_segment_that_makes_no_sense_is_refused(segment, says):
    with pytest.raises(InputError, match=says):
        doses(segment)


def test_an_unknown_drug_is_refused_by_name():
    with pytest.raises(InputError, match=r"unknown drug 'sertralin'.*Did you mean 'sertraline'"):
        exposure(doses(("sertralin", 50, 0, 1)), np.array([0.0]))
