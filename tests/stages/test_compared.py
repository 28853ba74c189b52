"""The comparison of mechanisms that a run keeps for the app is the run's own, or there is none."""

from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from remanent.dynamics.compare import Comparison, Identifiability
from remanent.stages.analyse import Results
from remanent.stages.compared import NAME, keep, kept
from remanent.stages.population import NAME as POPULATION
from small import Ran


def same(found: object, expected: object) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, Comparison | Identifiability):
        for field in fields(expected):
            same(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)
    else:
        assert found == expected


def test_it_is_read_back_to_the_last_digit(ran: Ran, results: Results) -> None:
    people, comparison = kept(ran.out)
    same(comparison, results.comparison)
    assert people == tuple(results.panel.patients[i] for i in results.timeline.lanes)


@pytest.mark.parametrize("spoil", ["population", "cut short", "gone", "another version"])
def test_one_of_another_population_or_version_is_not_taken(tmp_path, results: Results, spoil: str) -> None:
    (tmp_path / "views").mkdir()
    (tmp_path / POPULATION).write_text("{}")
    path = keep(tmp_path, ["sub-01"], results.comparison)
    assert kept(tmp_path) is not None
    if spoil == "population":
        (tmp_path / POPULATION).write_text("{ }")
    elif spoil == "gone":
        path.unlink()
    else:
        text = path.read_text()
        path.write_text(text[:-9] if spoil == "cut short" else text.replace("exceedance", "surplus"))
    assert kept(tmp_path) is None
    assert path == tmp_path / NAME
