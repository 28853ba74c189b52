"""Every feature explains itself, and the table is in nipoppy's form."""

import numpy as np
import pytest

from remanent.circuits.catalogue import derived_phenotypes, describe
from remanent.circuits.feature import Feature


def test_every_feature_that_is_measured_is_described(scanner, morphometry):
    session = scanner.scan(np.random.default_rng(0))
    got = scanner.features(scanner.session(*session.runs, morphometry=(morphometry,)))
    for name in got:
        assert describe(name).meaning != name
        assert "_" not in describe(name).meaning


@pytest.mark.parametrize(
    ("name", "meaning", "unit"),
    [
        ("fc_default_default", "functional connectivity: within the default mode network", "Fisher z"),
        ("fc_dlpfc_ba46_sgacc", "area 46 target and subgenual anterior cingulate", "Fisher z"),
        ("vol_hippocampus_left", "volume: hippocampus, left", "mm3"),
        ("thick_racc", "cortical thickness: rostral anterior cingulate", "mm"),
        ("int_acc", "intrinsic timescale: anterior cingulate", "s"),
        ("something", "something", "1"),
    ],
)
def test_descriptions(name, meaning, unit):
    assert meaning in describe(name).meaning
    assert describe(name).unit == unit


def test_table_in_the_form_of_imaging_derived_phenotypes():
    sessions = [
        ("sub-01", "ses-a", [Feature("q_yeo7", 0.25, 0.1, usable=True), Feature("sc_density", 0.5, 0.1, usable=False)]),
        ("02", "b", [Feature("vol_hippocampus", 4000.0, 70.0, usable=True)]),
    ]
    table = derived_phenotypes(sessions)
    assert table.header == ("participant_id", "session_id", "q_yeo7", "vol_hippocampus")
    assert table.rows == (("01", "a", "0.25", "n/a"), ("02", "b", "n/a", "4000.0"))
    assert set(table.dictionary) == set(table.header)
    assert table.dictionary["vol_hippocampus"]["Units"] == "mm3"
