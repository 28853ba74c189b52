"""What a fitted population has never seen is said, and takes no part in an update."""

from dataclasses import replace

from remanent.stages.analyse import Results
from remanent.stages.population import load, not_in, save


def test_nothing_is_new_to_the_population_that_was_fitted_on_it(results: Results) -> None:
    assert not_in(results.design, results.panel) == []


def test_a_diagnosis_that_the_fit_never_saw_is_said(results: Results) -> None:
    panel = results.panel
    stranger = replace(panel, diagnosis=["F20.0", *panel.diagnosis[1:]])
    (problem,) = not_in(results.design, stranger)
    assert (problem.file, problem.column, problem.action) == ("participants", "diagnosis", "set_aside")
    assert '"diagnosis F20.0" is new' in problem.problem


def test_a_saved_population_knows_its_diagnoses(results: Results, tmp_path) -> None:
    save(tmp_path, results.design, results.posterior)
    assert load(tmp_path)[0].diagnoses == results.design.diagnoses
