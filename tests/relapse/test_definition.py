"""Relapse rules: against a plain reading of each rule patient by patient, and on courses worked out by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remanent._errors import UsageError
from remanent.relapse.definition import Rule, relapse_day, rule, rules
from remanent.study.crosswalks import as_hub, convertible, crosswalks, read_as
from remanent.study.schema import INSTRUMENTS

DOCS = Path(__file__).parents[2] / "docs"


def plain(one: Rule, days, scores, event=np.inf):
    """The rule read aloud for one patient: look at every stretch of rated visits that could be the row it asks for."""
    rated = [(d, y) for d, y in zip(days, scores, strict=True) if d >= 0 and not np.isnan(y)]
    found = event
    for last in range(len(rated)):
        for first in range(last + 1):
            stretch = rated[first : last + 1]
            base = rated[0][1]
            all_count = all(
                y >= one.cut_off and (one.rise == 0 or (i + first > 0 and y - base >= one.rise))
                for i, (_, y) in enumerate(stretch)
            )
            long_enough = len(stretch) >= one.consecutive and stretch[-1][0] - stretch[0][0] >= one.apart_days
            if all_count and long_enough:
                found = min(found, stretch[-1][0])
    return np.nan if np.isinf(found) and one.rise > 0 and not rated else found


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_the_rule_is_its_plain_reading(data):
    one = rule(data.draw(st.sampled_from(sorted(rules()))))
    visits, patients = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    gap = st.lists(st.integers(1, 20), min_size=visits, max_size=visits)
    days = np.stack([np.cumsum(data.draw(gap)) - 15.0 for _ in range(patients)], axis=1)
    score = st.one_of(st.just(np.nan), st.integers(0, 40).map(float))
    scores = np.array(
        data.draw(st.lists(st.lists(score, min_size=patients, max_size=patients), min_size=visits, max_size=visits))
    )
    event = np.array(data.draw(st.lists(st.sampled_from([np.inf, 5.0, 60.0]), min_size=patients, max_size=patients)))
    got = relapse_day(one, days, scores, event)
    expected = [plain(one, days[:, i], scores[:, i], event[i]) for i in range(patients)]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "scores", "expected"),
    [
        ("sackeim2001", [6, 17, 18, 5], 14.0),  # two in a row, a week apart
        ("sackeim2001", [6, 17, 5, 18], np.inf),  # not in a row
        ("sackeim2001", [9, 18, 18, 18], np.inf),  # a rise of 9
        ("sackeim2001", [6, 17, np.nan, 19], 21.0),  # an unrated visit does not interrupt
        ("pride2016", [9, 22, 22, 5], 14.0),
        ("nordenskjold2013", [9, 22, 5, 5], 7.0),
    ],
)
def test_courses_by_hand(name, scores, expected):
    day = np.array([[0.0], [7.0], [14.0], [21.0]])
    np.testing.assert_array_equal(relapse_day(rule(name), day, np.array(scores, float)[:, None]), [expected])


def test_a_rise_without_a_baseline_is_not_known():
    before = relapse_day(rule("sackeim2001"), np.array([[-5.0]]), np.array([[30.0]]))
    assert np.isnan(before).all()
    assert np.isinf(relapse_day(rule("yildiz2010"), np.array([[-5.0]]), np.array([[30.0]]))).all()


def test_the_instruments_are_ours_and_the_cut_offs_can_be_reached():
    for one in rules().values():
        if one.instrument in INSTRUMENTS:
            limits = INSTRUMENTS[one.instrument]
            assert limits.minimum < one.cut_off < limits.maximum
    assert [one.instrument for one in rules().values() if one.instrument not in INSTRUMENTS] == ["cgi_i"]


def test_the_tables_return_their_own_points_and_nothing_beyond_them():
    for name, table in crosswalks().items():
        assert np.all(np.diff(table.own) > 0)
        assert np.all(np.diff(table.hub) > 0)
        np.testing.assert_allclose(read_as(np.array(table.own, float), name, "hdrs17"), table.hub)
        there = read_as(np.array(table.hub, float), "hdrs17", name)
        np.testing.assert_allclose(read_as(there, name, "hdrs17"), table.hub)
        assert np.isnan(read_as(np.array([-1.0, 99.0]), name, "hdrs17")).all()


def test_beyond_a_table_its_last_line_goes_on():
    scores = np.array([-3.0, 0.0, 8.5, 20.0, 52.5, 60.0])
    table = crosswalks()["madrs"]
    found = as_hub(scores, table.own, table.hub)
    np.testing.assert_allclose(found[2:5], read_as(scores[2:5], "madrs", "hdrs17"))
    np.testing.assert_allclose(found[[0, 1]], 7 + (10 - 7) / (13 - 8.5) * (scores[[0, 1]] - 8.5))
    np.testing.assert_allclose(found[5], 40 + 10 / 13.5 * 7.5)


def test_cut_offs_on_the_common_scale_are_where_the_review_put_them():
    # Sackeim's 16 and PRIDE's 21 on the 24-item form, Nordenskjöld's 20 on the MADRS: HDRS-17 about 12, 16, 15
    at_hub = [
        read_as(np.array([c]), name, "hdrs17")[0] for c, name in ((16.0, "hdrs24"), (21.0, "hdrs24"), (20.0, "madrs"))
    ]
    np.testing.assert_allclose(at_hub, [12, 16, 15], atol=1.0)


def test_what_cannot_be_joined_is_refused_in_words():
    assert not convertible("cgi_i", "hdrs17")
    with pytest.raises(UsageError, match="No published table"):
        read_as(np.array([5.0]), "cgi_i", "hdrs17")
    with pytest.raises(UsageError, match="sackeim2001"):
        rule("nosuch")


def test_every_rule_says_what_it_is_and_its_paper_stands_in_the_evidence():
    evidence = (DOCS / "evidence.md").read_text()
    for one in rules().values():
        assert one.title in one.words()
        assert one.status in one.words()
        assert one.doi is None or one.doi in evidence
    for table in crosswalks().values():
        cited = re.search(r"10\.\S+", table.source)
        assert cited is None or cited.group().lower() in evidence.lower()
    assert re.search("recalled", rule("pride2016").words())
