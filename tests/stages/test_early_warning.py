"""Early warning through the stages: measures that join the panel, and rows for everyone with momentary ratings."""

from dataclasses import replace

import numpy as np
import pytest

from remanent.dynamics.indicators import choose_indicators
from remanent.stages.analyse import Results
from remanent.stages.early_warning import MEASURES, early_warnings, table, with_measures
from remanent.stages.planning import warning_words
from remanent.study.panel import Long, Panel
from remanent.study.schema import OUTPUT


@pytest.fixture(scope="module")
def rated(results: Results) -> Panel:
    """The panel with two items, five ratings a day over 40 days, of its first three patients; the second one slows down."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(3):
        day = np.sort(rng.uniform(0, 40, 200))
        spread = np.linspace(0.3, 3, day.size) if i == 1 else 1.0
        rows += [(i, d, n, v) for n in range(2) for d, v in zip(day, rng.normal(0, spread, day.size), strict=True)]
    patient, day, name, value = (np.array(c) for c in zip(*rows, strict=True))
    order = np.lexsort((name, day, patient))
    ema = Long(("calm", "low"), patient[order], day[order], name[order], value[order], np.full(order.size, np.nan))
    return replace(results.panel, ema=ema)


def test_a_row_for_each_patient_with_ratings(rated: Panel) -> None:
    found = early_warnings(rated, seed=1)
    assert list(found) == list(rated.patients[:3])
    assert found[rated.patients[1]].warned
    rows = table(rated, found)
    assert set(rows) <= set(OUTPUT["warnings"].column)
    assert rows["items"] == ["calm; low"] * 3
    assert found == early_warnings(rated, seed=1)


def test_words_state_the_rate_and_the_record(rated: Panel) -> None:
    words = warning_words(early_warnings(rated, seed=1)[rated.patients[1]])
    assert words[0].startswith("Warning")
    assert "5 % of patients in whom nothing changes" in words[-1]
    assert warning_words(None) == ()


def test_measures_join_the_features_in_order(rated: Panel) -> None:
    joined = with_measures(rated).features
    assert set(MEASURES) <= set(joined.names)
    assert (np.lexsort((joined.name, joined.day, joined.patient)) == np.arange(joined.day.size)).all()
    for i in range(3):
        day, value = joined.of(i, "ema_ews_log_variance")
        assert day.size == 2
        assert np.isfinite(value).all()
    for name in rated.features.names:
        for i in range(len(rated.patients)):
            np.testing.assert_array_equal(joined.of(i, name), rated.features.of(i, name))
    slow = joined.of(1, "ema_ews_log_variance")[1]
    assert slow[1] > slow[0] + 1


def test_they_are_indicators_of_function_with_a_free_loading(rated: Panel) -> None:
    chosen = choose_indicators(with_measures(rated))
    for name in MEASURES:
        assert chosen.loads[chosen.names.index(name)].tolist() == [True, False, False, False]


def test_nothing_changes_without_ratings(results: Results) -> None:
    assert with_measures(results.panel) is results.panel
    assert early_warnings(results.panel, seed=1) == {}
