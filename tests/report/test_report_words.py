"""Numbers and days in words; text from studies made safe to show."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent.report.views import Basis, FitStatus, Interval
from remanent.report.words import (
    cannot_say,
    clean,
    day_label,
    diagnosis_label,
    feature_label,
    fraction_interval,
    number,
    percent,
    percent_interval,
    sentence,
    under_fit,
    unit_label,
)

NB = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("day", "label"),
    [
        (42, "day 42 (week 6)"),
        (0, "day 0 (week 0)"),
        (6, "day 6 (week 0)"),
        (-3, "day −3 (week −1)"),
        (-28, "day −28 (week −4)"),
        (3.25, "day 3.2 (week 0)"),
        (math.nan, "n/a"),
        (-math.inf, "before the first record"),
        (math.inf, "ongoing"),
    ],
)
def test_a_day_is_told_with_its_week_and_never_as_a_date(day, label):
    assert day_label(day).replace("\u00a0", " ") == label


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "0 %"), (0.004, "< 1 %"), (0.18, "18 %"), (0.995, "> 99 %"), (1.0, "100 %"), (math.nan, "n/a")],
)
def test_only_a_certain_probability_reads_as_certain(probability, shown):
    assert percent(probability).replace(NB, " ") == shown


def test_intervals_read_naturally():
    assert percent_interval(Interval(0.18, 0.09, 0.31)).replace(NB, " ") == "18 % (9 to 31 %)"
    assert fraction_interval(Interval(0.62, -0.05, 0.94)) == "0.62 (−0.05 to 0.94)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(7546.2, "7546"), (0.0123456, "0.0123"), (-2.5, "−2.5"), (0.0, "0"), (3e-6, "3.00e−06"), (math.inf, "n/a")],
)
def test_numbers_keep_three_digits_and_every_digit_before_the_point(value, shown):
    assert number(value) == shown


@given(st.text(max_size=80))
def test_cleaned_text_has_one_line_and_no_hidden_characters(text):
    shown = clean(text)
    assert shown == clean(shown)
    assert not any(c in shown for c in "\n\r\t\x00\u202e\u200b\u2066")
    assert len(clean(text, 10)) <= 10


def test_cleaning_keeps_what_people_write():
    assert clean("Ångström  5 % ≤ 2 mm³\n日本") == f"Ångström 5{NB}% ≤ 2 mm³ 日本"


def test_a_prior_is_named_as_one():
    said = cannot_say(Basis("prior", "no dose change"))
    assert "No dose change." in said
    assert "prior" in said
    assert cannot_say(Basis("data", "12 visits")) == ""
    assert cannot_say(Basis()) == "Not given."


def test_a_fit_that_did_not_converge_informs_nothing():
    data = Basis("data", "12 visits")
    assert not under_fit(data, FitStatus(converged=False)).informed
    assert under_fit(data, FitStatus(converged=True)) is data
    assert under_fit(data, FitStatus(converged=None)) is data


def test_codes_of_tables_are_written_as_people_do():
    assert diagnosis_label("mdd_psychotic") == "MDD, psychotic"
    assert diagnosis_label("schizoaffective") == "schizoaffective"
    assert (unit_label("mm3"), unit_label("1"), unit_label("mm")) == ("mm³", "", "mm")
    assert feature_label("thick_icc") == "thickness isthmus cingulate"


def test_sentences_have_a_capital_and_one_full_stop():
    assert sentence("no symptom score") == "No symptom score."
    assert sentence("Done!") == "Done!"
    assert sentence("  ") == ""
