"""YAML that a person wrote: a key that stands twice is refused, all else is read as ever."""

from functools import partial

import pytest
import yaml

from remanent._errors import InputError
from remanent._yaml import read_written, read_yaml
from remanent.app.settings import read_settings
from remanent.stages.options import read_plans, read_thresholds
from remanent.study.redcap import _mapping
from remanent.trial.design import read_trial
from remanent.trial.spec import read_spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1",
        "- 1\n- {b: 2}",
        "base: &x {k: 1}\nother:\n  <<: *x\n  k: 2\nthird: *x",
        "1: a\n'1': b",
        "[a, [b]]",
        "x",
    ],
)
def test_all_else_is_read_as_ever(text):
    assert read_written(text) == read_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "- x: {b: 1, c: 2, b: 1}", '{"a": 1, "a": 1}', "? [k]\n: {d: 1, d: 2}"])
def test_a_key_that_stands_twice_is_refused(text):
    with pytest.raises(yaml.YAMLError, match=r"stands twice in one table, the second time in line [12]"):
        read_written(text)


def test_an_anchor_that_holds_itself_ends():
    assert read_written("&a [*a, 1]")[1] == 1


@pytest.mark.parametrize(
    "read", [read_plans, read_thresholds, read_spec, read_trial, partial(read_settings, port=0), _mapping]
)
def test_every_file_that_a_user_writes_is_read_so(read, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("default: {a: 1, b: 2, a: 3}\n")
    with pytest.raises(InputError, match="stands twice"):
        read(file)
