"""The methods page says what this run did, and every number that is not the study's own."""

import re
from html import unescape

import pytest

from remanent.dynamics.priors import table as prior_table
from remanent.plan.decide import shipped_thresholds
from remanent.stages.analyse import Results
from remanent.stages.methods import equations
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
