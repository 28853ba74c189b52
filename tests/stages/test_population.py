"""What a fitted population has never seen is said, with what it counts as in an update; nobody is advised on it."""

import contextlib
import copy
from dataclasses import replace

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.dynamics.grid import build_timeline
from remanent.dynamics.priors import table
from remanent.stages import population
from remanent.stages.analyse import Results
from remanent.stages.population import load, not_in, save


def test_nothing_is_new_to_the_population_that_was_fitted_on_it(results: Results) -> None:
    assert not_in(results.design, results.panel) == []


def test_what_is_new_is_said_with_what_it_counts_as(results: Results) -> None:
    known, panel = results.design, results.panel
    usual, common = known.placements[0], known.diagnosis
    new = {
        "drug class": (
            replace(known, classes=known.classes[1:]),
            "it counts as no drug, so those concerned get no forecast and no advice",
        ),
        "placement": (
            replace(known, placements=known.placements[:1]),
            f"its sessions count as {usual}, the most common one",
        ),
        "diagnosis": (
            replace(known, tether=tuple(c for c in known.tether if not c.level)),
            f"it is read as {common}, the most common one",
        ),
    }
    asked = replace(
        panel,
        diagnosis=("F20.0", *panel.diagnosis[1:]),
        ect_placement=np.where(np.arange(panel.ect_day.size) == 0, "LART", panel.ect_placement),
    )
    for kind, (design, words) in new.items():
        said = [p.problem for p in not_in(design, asked) if f'"{kind}' in p.problem]
        assert said, kind
        assert all(words in one for one in said)
        assert all("takes no part" not in one for one in said)


def test_without_ect_in_the_fit_a_session_has_no_effect_and_that_is_said(results: Results) -> None:
    known = replace(results.design, placements=(), placement_weight=())
    (said,) = {p.problem.split(":")[1] for p in not_in(known, results.panel) if p.column == "placement"}
    assert "ECT has no effect in this population, so those concerned get no forecast and no advice" in said
    assert build_timeline(results.panel, known).grid.ect.shape[0] == 0


def test_a_saved_population_knows_its_diagnoses(results: Results, tmp_path) -> None:
    save(tmp_path, results.design, results.posterior)
    assert load(tmp_path)[0].diagnoses == results.design.diagnoses


def test_other_priors_are_refused_and_other_words_about_them_are_not(results: Results, tmp_path, monkeypatch) -> None:
    save(tmp_path, results.design, results.posterior)
    for field, refused in (("source", False), ("mean", True)):
        changed = copy.deepcopy(table())
        changed["dynamics"]["tau_e"][field] = "as before, in other words" if field == "source" else 61.0
        monkeypatch.setattr(population, "table", lambda changed=changed: changed)
        with pytest.raises(InputError, match="other priors") if refused else contextlib.nullcontext():
            load(tmp_path)
