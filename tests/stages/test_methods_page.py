"""The methods page says what this run did, and every number that is not the study's own."""

import re
from html import unescape

import pytest

from remanent.dynamics.priors import table as prior_table
from remanent.plan.decide import shipped_thresholds
from remanent.report.checks import Calibration, CalibrationCurve
from remanent.stages.analyse import Results
from remanent.stages.methods import calibration_words, equations
from small import PEOPLE, Ran


@pytest.fixture(scope="module")
def words(ran: Ran) -> str:
    """The page without tags."""
    page = (ran.out / "methods.html").read_text("utf-8")
    assert not re.search(r"(?:src|href)=[\"']https?:", page)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_it_counts_what_was_there(words: str, results: Results) -> None:
    relapses, scans = (
        int(results.panel.relapsed.sum()),
        len(set(zip(results.panel.features.patient, results.panel.features.day, strict=True))),
    )
    assert f"{PEOPLE} participants" in words
    assert f"{relapses} relapses were on record" in words
    assert f"{scans} scan visits gave usable measures" in words
    assert f"{results.posterior.layout.size} population parameters" in words
    assert results.comparison.identifiability.reason in words


def test_every_prior_and_threshold_stands_there_with_its_status_and_source(words: str) -> None:
    entries = [e for group in ("dynamics", "symptom", "feature") for e in prior_table()[group].values()]
    entries += [e for group in shipped_thresholds().values() for e in (group or {}).values()]
    assert len(entries) > 30
    for entry in entries:
        assert " ".join(entry["source"].split()) in words
        assert entry["status"] in {"published", "derived", "assumed"}


def test_how_forecasts_of_others_fared_stands_there_or_why_it_is_not_known(words: str) -> None:
    assert "Calibration of the forecasts Not assessed in this run" in words
    off = CalibrationCurve(182.0, 40, 20, 80, 0.36, (), (0.17, 0.04, 0.3), (0.8, 0.4, 1.3))
    said = calibration_words(Calibration((off,), unsaid="")).replace("\u00a0", " ")
    assert "80 forecasts for 40 patients: relapse predicted in 36 %, observed in 53 %" in said
    assert "were too low" in said


def test_the_form_with_two_basins_has_its_own_equations() -> None:
    linear, bent = equations("linear"), equations("two-basin")
    assert "- r (s - beta·x_i)] dt" in linear
    assert "- r (s - beta·x_i)] dt" not in bent
    assert "g(s, theta) = s (s - theta)(s - 1)" in bent
    assert "theta_i ~ N(theta - beta·x_i, sd_theta²)" in bent
    assert [line for line in linear.splitlines() if line.startswith("df")] == [
        line for line in bent.splitlines() if line.startswith("df")
    ]


def test_it_states_the_equations_the_model_computes(words: str) -> None:
    assert "df = -k_f (f - s" in words
    assert "remanence(t, H) = E[ f(t + H) | all drugs withdrawn from t ]" in words
    assert "Nothing here has been validated in patients" in words
