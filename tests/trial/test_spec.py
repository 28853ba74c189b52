"""Specifications: what they may say, and what is answered to what they may not."""

import json
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.dynamics.model import Params
from remanent.dynamics.priors import MECHANISMS
from remanent.trial.reference import indicators, reference, reference_params
from remanent.trial.spec import CohortSpec, demo_spec, read_spec


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("n_patients: 12\nmechanism: passive\nparams: {k_f: 0.2, l_f: {hdrs24: -20}}\n")
    (tmp_path / "b.json").write_text(
        json.dumps({"n_patients": 12, "mechanism": "passive", "params": {"k_f": 0.2, "l_f": {"hdrs24": -20}}})
    )
    spec = read_spec(tmp_path / "a.yaml")
    assert spec == read_spec(tmp_path / "b.json")
    assert (spec.n_patients, spec.mechanism) == (12, {"passive": 1.0})
    (tmp_path / "empty.yaml").write_text("")
    assert read_spec(tmp_path / "empty.yaml") == demo_spec()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_patients", 0),
        ("n_patients", "forty"),
        ("n_patients", True),
        ("mechanism", "passiv"),
        ("mechanism", {"passive": 0.5, "active": 0.4}),
        ("mechanism", []),
        ("follow_up_days", -1),
        ("enrolment_days", 364),
        ("dropout_per_day", 2),
        ("dropout_per_day", float("nan")),
        ("scan_days", [1, 1]),
        ("scan_days", [1.5]),
        ("scan_days", "7"),
        ("ema", "yes"),
        ("ect_sessions", [12, 6]),
        ("ect_sessions", [0, 6]),
        ("ect_gap_days", 2),
        ("placements", {"XX": 1}),
        ("regimens", [{"share": 1, "drugs": {"aspirinol": 100}}]),
        ("regimens", [{"share": 1, "drugs": {"sertraline": -100}}]),
        ("regimens", []),
        ("arms", [{"name": "a", "share": 1, "plan": "wait"}]),
        ("arms", [{"name": "a", "share": 1, "plan": "stop"}]),
        ("arms", [{"name": "a", "share": 1, "plan": "continue", "colour": "red"}]),
        ("arms", [{"name": "a", "share": 0.4, "plan": "continue"}]),
        ("diagnoses", {"gout": 1}),
        ("truth_paths", 1),
        ("params", {"q": 1}),
        ("params", {"k_f": -1}),
        ("params", {"k_f": [1, 2]}),
        ("params", {"b": 0.1}),
        ("params", {"sigma": 3}),
        ("params", {"sigma": {"hdrs99": 3}}),
        ("params", {"sigma": {"hdrs24": -3}}),
        ("params", 3),
        ("patients", 40),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({field: value}))
    with pytest.raises(InputError) as refused:
        read_spec(path)
    assert field in str(refused.value)
    assert len(str(refused.value)) > 30


@pytest.mark.parametrize("content", [b"- 1\n- 2\n", b"a: [1\n", b"\xff\xfe\x00", b"just words"])
def test_a_file_that_is_no_specification_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"spec\.yaml"):
        read_spec(tmp_path / "spec.yaml")


@pytest.mark.parametrize(
    "content",
    ["n_patients: 1\nn_patients: 5\n", "params: {k_f: 0.2, k_f: 0.3}\n", '{"n_patients": 1, "n_patients": 2}'],
)
def test_a_field_that_stands_twice_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(InputError, match="stands twice"):
        read_spec(tmp_path / "a.yaml")


def test_days_after_the_end_of_follow_up_are_refused() -> None:
    with pytest.raises(InputError, match="scan_days has 500, 900 with follow_up_days 364"):
        demo_spec(scan_days=[-28, 7, 500, 900], follow_up_days=364)
    with pytest.raises(InputError, match="rating_days has 800"):
        demo_spec(rating_days=[3, 800])
    assert demo_spec(follow_up_days=100, enrolment_days=10).follow_up_days == 100
    assert demo_spec(scan_days=[7, 500], follow_up_days=500).scan_days == (7, 500)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_spec(tmp_path / "nothing.yaml")


def test_defaults_name_every_field_once() -> None:
    assert isinstance(demo_spec(), CohortSpec)
    with pytest.raises(InputError, match="colour"):
        demo_spec(colour="red")


def test_a_mechanism_forbids_what_it_forbids_even_if_overridden() -> None:
    given = {"a": 0.02, "p": 0.6, "sd_p": 0.1}
    found = {name: reference_params(name, given) for name in MECHANISMS}
    assert {name: (float(q.a) > 0, float(q.p) > 0, float(q.sd_p) > 0) for name, q in found.items()} == {
        "natural": (False, False, False),
        "passive": (False, True, True),
        "active": (True, False, False),
        "dual": (True, True, True),
    }


def test_every_reference_number_has_a_source_and_a_status() -> None:
    document = reference()
    entries = [
        *document["population"].values(),
        *(entry for changes in document["mechanisms"].values() for entry in changes.values()),
        *document["indicators"].values(),
        *document["stressors"].values(),
        document["lithium_level"],
        document["ema_mood"],
        document["ect"],
    ]
    assert all(entry["status"] in {"published", "derived", "assumed"} and entry["source"] for entry in entries)
    assert set(Params._fields) - set(Params._field_defaults) - {"mu", "sd_mu", "l_f", "l_s", "l_e", "l_w", "sigma"} | {
        "start_sd"
    } == set(document["population"])
    assert np.isfinite(np.concatenate([np.ravel(v) for v in reference_params("dual")])).all()
    assert len(indicators()) == len(reference_params("dual").mu)
