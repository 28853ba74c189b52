"""Landmark forecasts on real courses: death in primary biliary cirrhosis against direct calls of the peers; scores of a real antidepressant trial."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import brier_score, concordance_index_ipcw, cumulative_dynamic_auc

from remanent.relapse.cox import fit_cox
from remanent.relapse.landmark import Landmarks, People, landmarks
from remanent.relapse.learn import folds, out_of_fold
from remanent.relapse.rivals import DAYS, RIVALS
from remanent.relapse.score import auc, brier, patient_weights, scores, uno_c
from remanent.stages.measure import measure_study
from remanent.study.as_of import as_of
from remanent.study.panel import build_panel
from remanent.study.store import Record

pytestmark = pytest.mark.real
NAMES = ("severity_last", "severity_slope", "age", "sex", "albumin", "exposure_total")
LANDMARK_YEARS = (1.0, 3.0, 5.0)
DAY = 364.0


def value(text: str) -> float:
    return np.nan if text == "NA" else float(text)


def pbc_rows(path: Path) -> Landmarks:
    """Landmarks of the PBC data: last log bilirubin and albumin, slope of the former since the first visit, age, sex, drug; death is the event."""
    visits: dict[int, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            visits.setdefault(int(row["id"]), []).append(row)
    rows = []
    for year in LANDMARK_YEARS:
        for patient, every in visits.items():
            known = [v for v in every if float(v["year"]) <= year]
            end = float(every[0]["years"])
            if end <= year or not known:
                continue
            t, y = (np.array([float(v[k]) for v in known]) for k in ("year", "serBilir"))
            slope = np.polyfit(t, np.log(y), 1)[0] if len(t) > 1 else np.nan
            x = (np.log(y[-1]), slope, float(known[0]["age"]), float(known[0]["sex"] == "female"))
            last = (value(known[-1]["albumin"]), float(known[0]["drug"] == "D-penicil"))
            rows.append((patient, year, (*x, *last), end - year, every[0]["status2"] == "1"))
    patient, year, x, time, event = (np.array(column) for column in zip(*rows, strict=True))
    site = np.full(len(rows), "", object)
    return Landmarks(
        NAMES, x.astype(float), np.zeros(6, bool), patient, year * 365.25, site, time * 365.25, event.astype(bool)
    )


@pytest.fixture(scope="module")
def rows(real_data: Path) -> Landmarks:
    return pbc_rows(real_data / "pbc2" / "pbc2.csv")


def test_cox_on_landmarks_is_that_of_the_peers(rows: Landmarks) -> None:
    at = rows.only((rows.day == 365.25 * 1) & np.isfinite(rows.x).all(1))
    spread = np.random.default_rng(0).uniform(0, 1e-3, len(at))  # no ties: lifelines takes Efron's, we Breslow's
    at = replace(at, time_days=at.time_days + spread)
    centre = at.x.mean(0)
    ours = fit_cox(at.x - centre, at.time_days, at.event)
    frame = pd.DataFrame(at.x, columns=NAMES).assign(t=at.time_days, e=at.event)
    theirs = CoxPHFitter().fit(frame, "t", "e")
    assert ours.beta == pytest.approx(theirs.params_[list(NAMES)].to_numpy(), abs=1e-4)
    truth = np.array(list(zip(at.event, at.time_days, strict=True)), dtype=[("e", "?"), ("t", "<f8")])
    breslow = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(at.x - centre, truth)
    assert ours.beta == pytest.approx(breslow.coef_, abs=1e-7)
    assert ours.beta[0] > 0.5, "bilirubin carries the risk"
    risk = 1 - ours.survival(at.x - centre, np.array([DAY, 3 * DAY]))
    for k, day in enumerate((DAY, 3 * DAY)):
        surviving = np.array([f(day) for f in breslow.predict_survival_function(at.x - centre)])
        assert risk[:, k] == pytest.approx(1 - surviving, abs=1e-6)
        once, known = np.ones((1, len(at))), at.outcome
        assert brier(known, risk[:, k], day, once)[0] == pytest.approx(
            brier_score(truth, truth, surviving, [day])[1][0], abs=1e-10
        )
        assert auc(known, risk[:, k], day, once)[0] == pytest.approx(
            cumulative_dynamic_auc(truth, truth, risk[:, k], [day])[0][0], abs=1e-10
        )
        assert uno_c(known, risk[:, k], day, once)[0] == pytest.approx(
            concordance_index_ipcw(truth, truth, risk[:, k], tau=day)[0], abs=1e-10
        )


def test_out_of_fold_the_last_value_beats_kaplan_meier(rows: Landmarks) -> None:
    """Bilirubin is what decides in this disease: every model that sees it must gain."""
    outer = folds(rows, 5, np.random.default_rng(0))
    weight = patient_weights(rows.patient, 200, np.random.default_rng(0))
    found = {}
    for rival in RIVALS[:3]:
        told = out_of_fold(rival, rows, outer, 0).risk
        found[rival.name] = scores(rows.outcome, told[:, DAYS <= DAY], DAYS[DAYS <= DAY], weight)
    for name in ("last_score", "cox"):
        assert found[name]["brier"].value < found["kaplan_meier"]["brier"].value
        assert found[name]["auc"].lower > 0.65
    assert abs(found["kaplan_meier"]["auc"].value - 0.5) < 0.15


def test_features_of_a_real_trial_are_those_of_its_table(real_data: Path, tmp_path: Path) -> None:
    """HAMD-17 of 172 patients over six weeks: the last score and the slope at day 21 by hand."""
    study = real_data / "hamd17-trial"
    people = [line.split("\t")[0] for line in (study / "participants.tsv").read_text().splitlines()[1:41]]
    measure_study(study, tmp_path / "out", workers=1, participants=tuple(people), log=lambda *_, **__: None)
    with Record.open(tmp_path / "out") as record:
        tables = record.tables()
    whole = build_panel(tables)
    watched = np.array(whole.last_day > 21.0)
    ends = np.where(watched, whole.last_day, np.nan)
    whole = type(whole)(**{**whole.__dict__, "risk_end_day": ends, "relapsed": np.zeros(len(ends), bool)})
    known = build_panel(as_of(tables, 21.0, [p for p, w in zip(whole.patients, watched, strict=True) if w]))
    rows = landmarks(whole, {21.0: known}, People(np.full(len(ends), np.nan), np.zeros(len(ends)), ("",) * len(ends)))
    assert len(rows) > 20
    ratings = tables["symptoms"]
    for k in range(len(rows)):
        mine = (ratings["participant_id"] == whole.patients[rows.patient[k]]) & (ratings["day"] <= 21.0)
        day, score = ratings["day"][mine], ratings["value"][mine] / 52
        assert rows.column("severity_last")[k] == pytest.approx(score[np.argmax(day)])
        assert rows.column("ratings")[k] == mine.sum()
        if len(day) > 1:
            assert rows.column("severity_slope")[k] == pytest.approx(28 * np.polyfit(day, score, 1)[0])
