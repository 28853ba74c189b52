"""What speaks against a dose that was written down."""

import pytest

from remanent.treatment.doses import doubt_dose
from remanent.treatment.drugs import formulary


@pytest.mark.parametrize(
    ("drug", "dose", "before", "action", "words"),
    [
        ("mirtazapine", 3000.0, 0.0, "set_aside", 'more than 2 times the labelled maximum ("45" mg/day)'),
        ("Zoloft", 10000.0, 100.0, "set_aside", '"10000" mg/day of "sertraline"'),
        ("sertraline", 400.0, 0.0, "used", "above the labelled maximum"),
        ("lithium", 0.8, 0.0, "used", "serum level (they are in mmol/L)? Levels belong in labs.tsv"),
        ("lithium", 0.8, 900.0, "used", "serum level"),
        ("psychotherapy", 50.0, 0.0, "set_aside", "session/week"),
        ("moclobemide", 1.0, 0.0, "used", "another unit"),
    ],
)
def test_what_is_said(drug, dose, before, action, words):
    found = doubt_dose(drug, dose, before)
    assert found is not None
    assert found[0] == action
    assert words in found[1]


@pytest.mark.parametrize(
    ("drug", "dose", "before"),
    [
        ("sertraline", 200.0, 0.0),
        ("sertraline", 0.0, 0.0),
        ("sertraline", 0.6, 2.0),
        ("lithium", 300.0, 0.0),
        ("sage", 9e9, 0.0),
    ],
)
def test_nothing_is_said_of_usual_doses_of_taper_steps_and_of_unknown_drugs(drug, dose, before):
    assert doubt_dose(drug, dose, before) is None


def test_usual_and_highest_doses_of_every_drug_pass():
    for drug in formulary().drugs.values():
        for dose in (drug.full_dose.value, drug.maximum_dose.value):
            assert doubt_dose(drug.name, dose, 0.0) is None, drug.name
