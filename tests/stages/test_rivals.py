"""The comparison of forecasts as a stage: nothing of a held-out patient reaches a fit, the tables say what was scored, the checklist invents nothing."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from remanent.cli import main
from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import build_timeline
from remanent.dynamics.infer import Fit, Posterior
from remanent.dynamics.priors import MECHANISMS, layout
from remanent.relapse.landmark import Landmarks
from remanent.relapse.learn import compete, folds
from remanent.relapse.rivals import DAYS, RIVALS
from remanent.relapse.score import brier, gap
from remanent.stages import out_of_fold, rivals
from remanent.stages.analyse import Results
from remanent.stages.measure import measure_study
from remanent.stages.out_of_fold import Source, mechanistic
from remanent.stages.rival_tables import NAMES, rival_tables
from remanent.stages.rivals import Rivalry, rivalry
from remanent.stages.tripod import Setting, checklist, markdown
from remanent.study.panel import Panel, build_panel
from remanent.study.schema import OUTPUT
from remanent.study.store import Record
from remanent.study.table import Table, missing
from small import quiet, read, records, write_small

SETTING = Setting("A | study", "snap-1", "Ratings of 16 or more.", 3)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few patients, few folds, no trees."""
    for name, value in (("LEAST_AT_RISK", 5), ("LEAST_RELAPSES", 2), ("OUTER", 3), ("RESAMPLES", 20)):
        monkeypatch.setattr(rivals, name, value)
    monkeypatch.setattr(rivals, "LANDMARK_DAYS", (28.0, 70.0))
    monkeypatch.setattr(rivals, "HORIZONS", (56.0,))
    chosen = [*RIVALS[:3], replace(RIVALS[4], needs="no_such_package")]
    monkeypatch.setattr(rivals, "compete", partial(compete, rivals=chosen))
    monkeypatch.setattr(out_of_fold, "DRAWS", 4)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """Sixteen patients' ratings, drugs, ECT, labs, sleep and events; no scans."""
    folder = tmp_path_factory.mktemp("rivals")
    write_small(folder / "study", derivatives=False)
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=quiet)
    with Record.open(folder / "out", create=False) as record:
        return dict(record.tables())


@pytest.fixture(scope="module")
def features(tables: dict[str, Table]) -> Table:
    """Two measures of every patient on days 7 and 60."""
    names = ("fc_default_default", "sc_strength_frontolimbic")
    who = [str(p) for p in tables["participants"]["participant_id"]]
    rows = [(p, f"ses-{day}", float(day), name) for p in who for day in (7, 60) for name in names]
    columns = {c.name: missing(c, len(rows)) for c in OUTPUT["features"].columns}
    for name, values in zip(("participant_id", "session_id", "day", "feature"), zip(*rows, strict=True), strict=True):
        columns[name] = np.array(values, float if name == "day" else object)
    columns["value"] = np.random.default_rng(0).normal(0.4, 0.1, len(rows))
    columns["se"], columns["usable"] = np.full(len(rows), 0.05), np.full(len(rows), "true", object)
    return Table(OUTPUT["features"], columns, np.full(len(rows), "", object), np.arange(len(rows)))


@pytest.fixture(scope="module")
def results(tables: dict[str, Table], features: Table) -> Results:
    """What the comparison takes from a run, with the prior in place of a fit."""
    panel = build_panel(tables, features)
    design = choose_design(panel)
    timeline = build_timeline(panel, design)
    zero, n = np.zeros(layout(design).size), timeline.grid.day.shape[1]
    fits = tuple(Fit(m, zero, np.eye(len(zero)), 0.0, np.zeros(n), True, "the prior") for m in MECHANISMS)
    level = np.zeros(timeline.grid.day.shape)
    return Results(
        **dict.fromkeys(Results.__dataclass_fields__)
        | {
            "panel": panel,
            "design": design,
            "timeline": timeline,
            "posterior": Posterior(layout(design), fits),
            "found_states": SimpleNamespace(smoothed=SimpleNamespace(f_mean=level, s_mean=level)),
            "unknown_doses": frozenset(),
        },
    )


@pytest.fixture
def found(few: None, tables, features, results: Results, monkeypatch: pytest.MonkeyPatch) -> Rivalry:
    """A comparison in which the mechanistic model takes the whole study's fit instead of its own: quick, and not for scoring."""
    monkeypatch.setattr(out_of_fold, "_population", lambda *_: (results.design, results.posterior))
    return rivalry(tables, features, results, seed=0, log=quiet)


def test_a_fit_sees_nobody_it_is_scored_on(
    few: None, tables, features, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Panel] = []
    asked: list[Panel] = []

    def population(panel: Panel, _: tuple[float, ...]):
        seen.append(panel)
        return results.design, results.posterior

    def forecast(panel: Panel, *_: object) -> dict[str, np.ndarray]:
        asked.append(panel)
        return {who: np.linspace(0, 0.5, len(DAYS)) for who in panel.patients}

    monkeypatch.setattr(out_of_fold, "_population", population)
    monkeypatch.setattr(out_of_fold, "_forecast", forecast)
    source = Source(tables, features, results.panel)
    everyone = results.panel.patients
    rows = rivals._landmarks(source)
    outer = folds(rows, 3, np.random.default_rng(0))
    mechanistic(source, rows, outer, 0, quiet)
    assert len(seen) == 3
    for panel, fold in zip(seen, outer, strict=True):
        held = {everyone[i] for i in rows.patient[fold.test]}
        assert held
        assert not held & set(panel.patients)
        assert set(panel.patients) | held == set(everyone)
    for panel in asked:
        day = panel.last_day[0]
        assert day in {28.0, 70.0}
        assert (panel.last_day == day).all()
        assert (panel.risk_end_day == day).all()
        assert not panel.relapsed.any()
    numbers = {who: i for i, who in enumerate(everyone)}
    for panel in seen:
        place = [numbers[p] for p in panel.patients]
        np.testing.assert_array_equal(panel.relapsed, results.panel.relapsed[place])


def test_who_has_unknown_doses_is_in_no_fit_and_in_no_score(
    few: None, tables, features, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Panel] = []

    def population(panel: Panel, *_: object):
        seen.append(panel)
        return results.design, results.posterior

    monkeypatch.setattr(out_of_fold, "_population", population)
    everyone, at_risk = results.panel.patients, results.panel.risk_end_day > 28
    who = everyone[int(np.flatnonzero(at_risk)[0])]
    found = rivalry(tables, features, replace(results, unknown_doses=frozenset({who})), seed=0, log=quiet)
    assert found.patients == tuple(p for p in everyone if p != who)
    assert found.subtyped == found.patients
    assert seen
    assert not any(who in panel.patients for panel in seen)
    of_all = rivals._landmarks(Source(tables, features, results.panel))
    kept = np.array([everyone[i] != who for i in of_all.patient])
    assert not kept.all()
    assert [found.patients[i] for i in found.rows.patient] == [everyone[i] for i in of_all.patient[kept]]
    np.testing.assert_array_equal(found.rows.time_days, of_all.time_days[kept])


def test_a_forecast_of_one_patient_does_not_depend_on_who_else_is_held_out(
    few: None, tables, features, results: Results
) -> None:
    source = Source(tables, features, results.panel)
    who = [p for p, end in zip(results.panel.patients, results.panel.risk_end_day, strict=True) if end > 28][:3]
    fitted = (results.design, results.posterior)
    alone = out_of_fold._forecast(source.as_of(28.0, who[:1], who[:1]), fitted, 0, (0, 0, 0))
    together = out_of_fold._forecast(source.as_of(28.0, who, who), fitted, 0, results.timeline.grid.value.shape)
    assert together.keys() == set(who)
    assert alone[who[0]].shape == (len(DAYS),)
    assert (np.diff(alone[who[0]]) >= -1e-12).all()
    assert together[who[0]] == pytest.approx(alone[who[0]], abs=0.35)  # draws differ with the number of patients


def test_every_model_is_scored_on_the_same_rows(found: Rivalry) -> None:
    assert not found.lacking
    columns = rival_tables(found)["scores"]
    assert set(columns["model"]) == {"kaplan_meier", "last_score", "cox", "forest", "mechanistic"}
    ran = [i for i, s in enumerate(columns["status"]) if s != "not_run"]
    assert len({(columns["patients"][i], columns["relapses"][i]) for i in ran}) == 1
    pairs = {(columns["model"][i], columns["imaging"][i]) for i in ran}
    assert {("cox", "with"), ("cox", "without"), ("mechanistic", "with"), ("mechanistic", "without")} <= pairs
    (at,) = found.scored
    km = next(c for c in found.competitors if c.model == "kaplan_meier")
    day = int(np.searchsorted(DAYS, 56.0))
    value = next(
        columns["value"][i] for i in ran if columns["model"][i] == "kaplan_meier" and columns["metric"][i] == "brier"
    )
    assert value == brier(at.known, km.risk[at.rows][:, day], 56.0, at.weight)[0]
    gain = [
        columns["value"][i]
        for i in ran
        if columns["metric"][i] == "brier_gain" and columns["model"][i] == "kaplan_meier"
    ]
    assert gain == [0.0]


def test_what_was_not_run_says_how_to_get_it(found: Rivalry) -> None:
    columns = rival_tables(found)["scores"]
    notes = [n for n, m in zip(columns["note"], columns["model"], strict=True) if m == "forest"]
    assert set(notes) == {'not installed: pip install "remanent[forest]"'}
    lines = markdown(checklist(found, rival_tables(found), SETTING), found)
    assert 'pip install "remanent[forest]"' in lines


def test_tables_fit_the_schema(found: Rivalry) -> None:
    made = rival_tables(found)
    assert tuple(made) == NAMES
    for name, columns in made.items():
        assert list(columns) == list(OUTPUT[name].column)
        rows = list(zip(*(columns[k] for k in OUTPUT[name].key), strict=True))
        assert len(rows) == len(set(rows)), name
        assert rows or name == "reasons", name  # a Cox model that keeps no feature gives no reasons
        for column in OUTPUT[name].columns:
            if column.levels:
                assert set(columns[column.name]) <= set(column.levels), (name, column.name)
            if column.required:
                assert not [v for v in columns[column.name] if v is None or v != v], (name, column.name)  # noqa: PLR0124


def test_the_checklist_has_every_item_and_says_what_is_not_done(found: Rivalry) -> None:
    items = checklist(found, rival_tables(found), SETTING)
    numbers = {int(re.match(r"\d+", i.id).group()) for i in items}
    assert numbers == set(range(1, 28))
    assert len({i.id for i in items}) == len(items) == 52
    by_id = {i.id: i for i in items}
    assert by_id["17"].answer == "authors"
    assert (by_id["14"].answer, by_id["13"].answer) == ("not_done", "done")
    relapsed = len(np.unique(found.rows.patient[found.rows.event]))
    assert f"{relapsed} of them with a relapse" in by_id["10"].says
    assert "Ratings of 16 or more." in by_id["8a"].says
    assert "snap-1" in by_id["5a"].says
    text = markdown(items, found)
    assert "{" not in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 53


def test_too_few_relapses_are_said_and_nothing_is_scored(tables, features, results: Results) -> None:
    nobody = replace(results, panel=replace(results.panel, relapsed=np.zeros_like(results.panel.relapsed)))
    found = rivalry(tables, features, nobody, seed=0, log=quiet)
    assert "too few" in found.lacking
    made = rival_tables(found)
    assert not made["scores"]["model"]
    assert made["subtypes"]["participant_id"][0] == "cohort"
    items = {i.id: i for i in checklist(found, made, SETTING)}
    assert items["23a"].answer == "not_done"
    assert items["17"].answer == "authors"


def test_nobody_followed_far_enough_is_said_before_anything_is_fitted(
    few: None, tables, features, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "HORIZONS", (3000.0,))
    found = rivalry(tables, features, results, seed=0, log=quiet)
    assert "3000 days later" in found.lacking
    assert found.rows is None


def test_a_landmark_whose_patients_were_not_followed_far_enough_is_left_out() -> None:
    """The last landmark has no relapse either: it must not make the others unscored."""
    n = 12
    early = np.repeat([28.0, 182.0], n)
    time = np.concatenate([np.linspace(20, 300, n), np.full(n, 30.0)])
    empty = np.empty((2 * n, 0))
    who = np.tile(np.arange(n), 2)
    rows = Landmarks((), empty, np.empty(0, bool), who, early, np.full(2 * n, "", object), time, time < 90)
    rows = replace(rows, event=rows.event & (early == 28.0))
    for at in rivals._scored(rows, 0):
        assert at.rows.tolist() == list(range(n))
        assert gap(at.known, at.horizon_days) == "estimated"


def test_subtypes_are_an_answer_for_the_cohort_and_everyone(found: Rivalry, results: Results) -> None:
    columns = rival_tables(found)["subtypes"]
    assert columns["participant_id"] == ["cohort", *(results.panel.patients[i] for i in results.timeline.lanes)]
    assert set(columns["finding"]) == {"too_few"}
    assert set(columns["subtype"]) == {None}


@pytest.mark.slow
def test_the_command_writes_tables_and_checklist_and_a_later_run_takes_them_away(tmp_path: Path) -> None:
    study = write_small(tmp_path / "study", n_patients=24, derivatives=False)
    out = tmp_path / "out"
    assert main(["run", str(study), str(out), "--workers", "1", "--rivals"]) == 0
    for name in NAMES:
        assert list(read(out / f"{name}.tsv")) == list(OUTPUT[name].column)
        assert (out / f"{name}.json").is_file()
    assert {r["model"] for r in records(out / "scores.tsv")} >= {"kaplan_meier", "cox", "mechanistic"}
    assert (out / "tripod.md").read_text().startswith("# TRIPOD+AI")
    assert main(["check", str(out)]) == 0
    assert main(["run", str(study), str(out), "group", "--workers", "1"]) == 0
    assert not (out / "scores.tsv").exists()
    assert not (out / "tripod.md").exists()
    assert main(["check", str(out)]) == 0
