"""Figures: units, determinism, no global state, nothing drawn where nothing is known."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.markers import MarkerStyle

from remanent.report.cohort_figures import plot_follow_up, plot_holds
from remanent.report.figures import plot_forecasts, plot_indicators, plot_mechanisms, plot_remanence
from remanent.report.paper import figure as on_paper
from remanent.report.sheet import Line, Panel, Sheet, Words
from remanent.report.svg import svg
from remanent.report.theme import day_ticks, nice_ticks
from remanent.report.timeline import plot_timeline
from remanent.report.views import (
    Basis,
    CohortView,
    Dose,
    Event,
    Forecasts,
    Mechanisms,
    Remanence,
    Series,
    States,
    Timeline,
)

SVG = "{http://www.w3.org/2000/svg}"


def texts(figure: Sheet) -> str:
    """Return all text of a figure as its SVG shows it, newline-separated."""
    root = ET.fromstring(svg(figure, "key", "title", "description"))  # noqa: S314 - our own output
    return "\n".join("".join(element.itertext()) for element in root.iter(f"{SVG}text")).replace(
        "\N{NO-BREAK SPACE}", " "
    )


@pytest.fixture
def all_figures(make_patient, make_cohort):
    view, cohort = make_patient(), make_cohort(12)
    return {
        "timeline": lambda: plot_timeline(view.timeline, view.states),
        "forecasts": lambda: plot_forecasts(view.forecasts),
        "remanence": lambda: plot_remanence(view.remanence),
        "mechanisms": lambda: plot_mechanisms(view.mechanisms),
        "indicators": lambda: plot_indicators(view.indicators, view.timeline),
        "follow_up": lambda: plot_follow_up(cohort),
        "holds": lambda: plot_holds(cohort),
    }


def test_every_panel_names_its_unit(all_figures):
    expected = {
        "timeline": [
            "mg/day",
            "1 = usual full dose",
            "points, higher is worse",
            "mg/L",
            "h, higher is better",
            "Days since",
        ],
        "forecasts": ["days from today", "20 %"],
        "remanence": ["fraction of today's function", "probability of no relapse", "days after all drugs"],
        "mechanisms": ["probability (bar); prior"],
        "indicators": ["Fisher z", "mm³", "Days since"],
        "follow_up": ["Days since"],
        "holds": ["Probability of no relapse", "100 %"],
    }
    for name, draw in all_figures.items():
        shown = texts(draw())
        for unit in expected[name]:
            assert unit in shown, (name, unit)


@pytest.mark.parametrize("count", [1, 4, 5, 8, 11])
def test_every_plan_is_drawn_with_all_its_words(make_patient, count):
    view = make_patient()
    long = "sertraline to zero in equal steps of dose over 24 weeks from day 28, in whole tablets; lithium 900 mg/day from today; psychotherapy, 1 a week"
    plan = view.forecasts.plans[0]
    plans = tuple(
        replace(plan, plan=f"own {k}", label=f"my plan number {k} with a name of several words", doses=long)
        for k in range(count)
    )
    sheet = plot_forecasts(replace(view.forecasts, plans=plans))
    assert len(sheet.panels) == count
    for k, panel in enumerate(sheet.panels):
        said = " ".join(mark.text for mark in panel.marks if isinstance(mark, Words))
        assert sorted(f"my plan number {k} with a name of several words {long}".split()) == sorted(said.split())
        lines = [mark for mark in panel.marks if isinstance(mark, Line)]
        assert len(lines) == count
        assert panel.top + panel.height < sheet.height
        highest = max(mark.offset[1] for mark in panel.marks if isinstance(mark, Words))
        above = max((p.top + p.height for p in sheet.panels if p.top < panel.top), default=0.0)
        assert panel.top - highest > above + (40 if above else 8), "heads stay off the row above"


def test_the_same_figure_is_the_same_bytes_and_matplotlib_is_left_alone(all_figures):
    before = dict(mpl.rcParams)
    for name, draw in all_figures.items():
        assert svg(draw(), name, "t", "d") == svg(draw(), name, "t", "d")
        on_paper(draw())
        assert dict(mpl.rcParams) == before, name


def test_the_svg_is_small_named_and_closed_to_the_outside(all_figures):
    for name, draw in all_figures.items():
        text = svg(draw(), name, "Title", "Description")
        root = ET.fromstring(text)  # noqa: S314 - our own output
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert all(i.startswith(name) for i in ids)
        assert root[0].tag == f"{SVG}title"
        assert root[1].tag == f"{SVG}desc"
        assert root.get("aria-labelledby").split() == [root[0].get("id"), root[1].get("id")]
        targets = re.findall(r'(?:href="|url\()([^")]+)', text)
        assert targets
        assert all(target.removeprefix("#") in ids for target in targets)
        assert len(text) < 60_000
        assert not re.search(r"\d\.\d{3}", text)
        assert " style=" not in text, "a content security policy may forbid it"


def test_a_mark_lies_where_matplotlib_puts_it():
    """Marks read back from the SVG lie where matplotlib's own transform puts the data in the same figure on paper."""
    days, values = np.array([0.0, 70.0, 140.0]), np.array([30.0, 10.0, 20.0])
    sheet = plot_timeline(Timeline(140.0, symptoms=(Series("madrs", "MADRS", "points", days, values, 0, 60),)))
    drawn = np.array([tuple(map(float, at)) for at in re.findall(r"M([\d.]+) ([\d.]+)h0", svg(sheet, "k", "t", "d"))])
    axes = on_paper(sheet).axes[0]
    for x, y in axes.transData.transform(np.column_stack([days, values])):
        assert np.abs(drawn - (x, sheet.height - y)).max(axis=1).min() < 0.011


@pytest.mark.parametrize("marker", ["o", ".", "s", "D", "^", "v", "X", "P", "x", "|", "4"])
def test_every_marker_is_as_large_as_matplotlibs(marker):
    panel = Panel(0, 0, 100, 100)
    panel.points([0.5], [0.5], marker, 40, "#000000")
    text = svg(Sheet(100, 100, (panel,)), "k", "t", "d")
    size = MarkerStyle(marker)
    box = size.get_path().transformed(size.get_transform()).get_extents()
    path, width = re.search(r'<path d="(M50 50[^"]*)"[^>]* stroke-width="([\d.]+)"', text).groups()
    if "h0" in path:
        assert float(width) - 0.8 == pytest.approx(40 * box.width, abs=0.1)
        return
    places = []
    for part in path.removesuffix("z").split("M")[1:]:
        steps = np.array([float(n) for n in part.replace("m", " ").replace("l", " ").split()]).reshape(-1, 2)
        places.append(np.cumsum(steps, axis=0)[1:] - 50)
    drawn = np.concatenate(places)
    assert np.ptp(drawn[:, 0]) == pytest.approx(40 * box.width, abs=0.6)
    assert np.ptp(drawn[:, 1]) == pytest.approx(40 * box.height, abs=0.6)
    assert drawn[:, 0].max() == pytest.approx(40 * box.x1, abs=0.6)


def test_without_data_a_figure_says_so_and_draws_no_number(make_patient):
    view = make_patient()
    reason = "no dose change"
    prior = Basis("prior", reason)
    mute = [
        plot_forecasts(replace(view.forecasts, basis=prior)),
        plot_remanence(replace(view.remanence, basis=prior)),
        plot_mechanisms(replace(view.mechanisms, identifiable=False, reason=reason)),
    ]
    for figure in mute:
        shown = texts(figure)
        assert reason in shown
        assert not re.search(r"\d", shown)
    assert "Function" not in texts(plot_timeline(view.timeline, replace(view.states, basis=prior)))


def test_nothing_at_all_can_be_drawn():
    assert "Nothing dated" in texts(plot_timeline(Timeline()))
    assert "No feature" in texts(plot_indicators(()))
    assert "Not given" in texts(plot_forecasts(Forecasts()))
    assert "Not given" in texts(plot_remanence(Remanence()))
    assert "Not identifiable" in texts(plot_mechanisms(Mechanisms()))
    assert "no patient" in texts(plot_holds(CohortView()))
    assert "Days since" in texts(plot_follow_up(CohortView()))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "$\\frac{a}{$", "=1+1", "日本 \U0001f9e0", '"><b id="x">', "a\x00\u202eb"]
)
def test_text_from_studies_is_text(text):
    series = Series("s", text, "points", np.array([0.0]), np.array([1.0]))
    timeline = Timeline(10.0, symptoms=(series,), events=(Event(3.0, text),), doses=(Dose(text, text, 10, 0, np.inf),))
    drawn = svg(plot_timeline(timeline), "k", text, text)
    ET.fromstring(drawn)  # noqa: S314 - well-formed or this raises
    assert "<script" not in drawn
    assert "<b" not in drawn
    assert "\u202e" not in drawn


numbers = st.floats(-1e4, 1e4) | st.just(np.nan)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.floats(-400, 2000), numbers, numbers), max_size=6), numbers)
def test_any_finite_or_missing_number_can_be_drawn(rows, today):
    days, values, more = (np.array([row[k] for row in rows]) for k in range(3))
    states = States(days, values, np.abs(more), more, np.abs(values), values, Basis("data"))
    timeline = Timeline(today, symptoms=(Series("s", "Scale", "points", days, values),))
    ET.fromstring(svg(plot_timeline(timeline, states), "k", "t", "d"))  # noqa: S314 - our own output


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(lower, span):
    upper = lower + span
    ticks = nice_ticks(lower, upper)
    assert len(ticks) <= 8
    assert np.all((ticks >= lower - 1e-6 * span) & (ticks <= upper + 1e-6 * span))


@given(st.integers(-3000, 3000), st.integers(7, 6000))
def test_day_ticks_are_whole_weeks_with_day_zero(lower, span):
    ticks = day_ticks(lower, lower + span)
    assert len(ticks) <= 10
    assert np.all(ticks % 7 == 0)
    assert (0 in ticks) == (lower <= 0 <= lower + span)


def test_a_dose_since_long_ago_does_not_squeeze_the_course():
    days = np.array([0.0, 100.0])
    scale = Series("s", "Scale", "points", days, days)
    long_ago = Timeline(100.0, symptoms=(scale,), doses=(Dose("lithium", "lithium", 900, -5000, np.inf),))
    assert -100 < plot_timeline(long_ago).panels[0].x_limits[0] < -50
