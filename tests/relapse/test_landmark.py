"""Landmark features: nothing of the future, and the values a reader of the tables would compute."""

from collections.abc import Mapping

import numpy as np
import pytest

from remanent._errors import UsageError
from remanent.relapse.landmark import Landmarks, People, at_risk, landmarks
from remanent.study.as_of import as_of
from remanent.study.panel import Panel, build_panel
from remanent.study.table import Table

DAY = 91.0


def people(panel: Panel) -> People:
    n = len(panel.patients)
    return People(np.full(n, 60.0), np.zeros(n), ("a",) * n)


def rows_at(tables: Mapping[str, Table], whole: Panel, day: float) -> Landmarks:
    watched = [p for p, there in zip(whole.patients, at_risk(whole, day), strict=True) if there]
    return landmarks(whole, {day: build_panel(as_of(tables, day, watched))}, people(whole))


def shuffled_future(table: Table, day: float, rng: np.random.Generator) -> Table:
    """Values, doses and ends after `day` replaced by noise."""
    when = table["start_day"] if "start_day" in table.columns else table.columns.get("day")
    if when is None:
        return table
    columns = dict(table.columns)
    for name in ("value", "dose_mg_day"):
        if name in columns:
            columns[name] = np.where(when > day, rng.uniform(0, 300, len(table)), columns[name])
    if "stop_day" in columns:
        columns["stop_day"] = np.where(
            columns["stop_day"] > day, rng.uniform(day + 1, 900, len(table)), columns["stop_day"]
        )
    return Table(table.spec, columns, table.file, table.row)


def test_the_future_changes_nothing(tables: Mapping[str, Table]) -> None:
    whole = build_panel(tables)
    rng = np.random.default_rng(0)
    other = {name: shuffled_future(table, DAY, rng) for name, table in tables.items()}
    one, two = rows_at(tables, whole, DAY), rows_at(other, whole, DAY)
    assert one.names == two.names
    assert len(one) > 10
    np.testing.assert_array_equal(one.x, two.x)
    assert any(not np.array_equal(tables[n]["value"], other[n]["value"]) for n in ("symptoms", "labs", "sleep", "ema"))


def test_a_panel_that_knows_more_is_refused(tables: Mapping[str, Table]) -> None:
    whole = build_panel(tables)
    with pytest.raises(UsageError, match=r"the panel knows day .* study\.as_of"):
        landmarks(whole, {DAY: whole}, people(whole))


def test_values_are_those_of_the_tables(tables: Mapping[str, Table]) -> None:
    whole = build_panel(tables)
    rows = rows_at(tables, whole, DAY)
    ratings, labs = tables["symptoms"], tables["labs"]
    for k in range(len(rows)):
        who = whole.patients[rows.patient[k]]
        mine = (ratings["participant_id"] == who) & (ratings["day"] <= DAY) & (ratings["instrument"] == "hdrs24")
        last = ratings["value"][mine][np.argmax(ratings["day"][mine])]
        assert rows.column("hdrs24_last")[k] == pytest.approx(last / 75)
        crp = (labs["participant_id"] == who) & (labs["day"] <= DAY) & (labs["analyte"] == "crp")
        expected = np.log(labs["value"][crp][np.argmax(labs["day"][crp])]) if crp.any() else np.nan
        assert rows.column("log_crp")[k] == pytest.approx(expected, nan_ok=True)
        ect = (tables["ect"]["participant_id"] == who) & (tables["ect"]["day"] <= DAY)
        assert rows.column("ect_sessions")[k] == ect.sum()
    assert np.nanmax(np.abs(rows.column("severity_slope"))) > 0


def test_only_patients_at_risk_have_a_row_and_their_time_runs_from_the_landmark(tables: Mapping[str, Table]) -> None:
    whole = build_panel(tables)
    rows = rows_at(tables, whole, DAY)
    assert (rows.time_days > 0).all()
    assert set(rows.patient) == set(np.flatnonzero(whole.risk_end_day > DAY))
    assert rows.event.tolist() == whole.relapsed[rows.patient].tolist()
    assert rows.time_days == pytest.approx(whole.risk_end_day[rows.patient] - DAY)


def test_as_of_a_day_everyone_watched_is_censored_on_it(tables: Mapping[str, Table]) -> None:
    whole = build_panel(tables)
    there = at_risk(whole, DAY)
    panel = build_panel(as_of(tables, DAY, [p for p, t in zip(whole.patients, there, strict=True) if t]))
    assert (panel.risk_end_day[there] == DAY).all()
    assert not panel.relapsed[there].any()
    assert (panel.last_day[there] == DAY).all()
    gone = ~there & np.isfinite(whole.risk_end_day) & (whole.risk_end_day <= DAY)
    assert gone.any()
    np.testing.assert_array_equal(panel.relapsed[gone], whole.relapsed[gone])
    assert (panel.doses.start_day <= DAY).all()
    assert not ((panel.doses.stop_day > DAY) & np.isfinite(panel.doses.stop_day)).any()
