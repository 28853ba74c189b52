"""Known errors and changes of program versions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent.study.derivatives.gates import changes_between, known_errors, shipped, version_number
from remanent.study.session import Pipeline


def ids(name: str, version: str, affects="function", **settings: str) -> set[str]:
    return {gate.id for gate in known_errors(Pipeline(name, version, settings), affects)}


@pytest.mark.parametrize(
    ("name", "version", "affects", "settings", "expected"),
    [
        ("QSIRecon", "1.1.1", "connectome", {"tool": "mrtrix"}, set()),
        ("QSIRecon", "1.2.0", "connectome", {"tool": "mrtrix"}, {"qsirecon-399"}),
        ("qsirecon", "26.0.0", "connectome", {"tool": "mrtrix"}, {"qsirecon-399"}),
        ("qsirecon", "26.0.0+5.gabc", "connectome", {"tool": "mrtrix"}, {"qsirecon-399"}),
        ("qsirecon", "26.0.1", "connectome", {"tool": "mrtrix"}, set()),
        ("qsirecon", "26.0.0", "connectome", {"tool": "dsistudio", "atlas": "4S156Parcels"}, set()),
        ("qsirecon", "1.1.1", "connectome", {"tool": "dsistudio", "atlas": "Gordon333Ext"}, {"qsirecon-274"}),
        ("qsirecon", "1.1.0", "connectome", {}, {"qsirecon-263"}),
        ("xcp_d", "0.7.0", "function", {}, set()),
        ("XCP-D", "0.7.1", "function", {}, {"xcpd-1172"}),
        ("xcp_d", "0.7.4", "function", {}, set()),
        ("xcp_d", "0.11.1", "function", {"nuisance": "acompcor"}, {"xcpd-1498"}),
        ("xcp_d", "0.11.1", "function", {"nuisance": "signals"}, set()),
        ("xcp_d", "0.12.0", "function", {"nuisance": "acompcor"}, set()),
        ("xcp_d", "26.0.3", "function", {"level": "concatenated"}, {"xcpd-concatenation-nan"}),
        ("xcp_d", "26.1", "function", {"level": "concatenated"}, {"xcpd-concatenation-zero"}),
        ("xcp_d", "26.1.1", "function", {"level": "run"}, set()),
        ("fMRIPrep", "25.1.4", "function", {}, {"fmriprep-25.1"}),
        ("fMRIPrep", "25.2.0", "function", {}, set()),
        ("xcp_d", "26.1.1", "function", {"upstream": "fMRIPrep 25.1.0; other tool 1"}, {"fmriprep-25.1"}),
        ("fMRIPrep", "20.0.2", "function", {"space": "fsLR"}, {"fmriprep-20.0-surfaces", "fmriprep-phasediff"}),
        ("fMRIPrep", "1.5.10", "function", {}, set()),
        ("fMRIPrep", "unknown", "function", {}, set()),
        ("cubnm data", "0.1.0", "function", {}, set()),
    ],
)  # fmt: skip
def test_who_is_affected(name, version, affects, settings, expected):
    assert ids(name, version, affects, **settings) == expected


@pytest.mark.parametrize(
    ("first", "second", "settings", "expected"),
    [
        (("xcp_d", "0.14.0"), ("xcp_d", "26.1.1"), {"level": "concatenated"}, {"xcpd-26-zscore"}),
        (("xcp_d", "26.1.1"), ("xcp_d", "0.14.0"), {"level": "concatenated"}, {"xcpd-26-zscore"}),
        (("xcp_d", "0.14.0"), ("xcp_d", "26.1.1"), {"level": "run"}, set()),
        (("xcp_d", "26.0"), ("xcp_d", "26.0.0"), {"level": "concatenated"}, set()),
        (("xcp_d", "0.10.0"), ("xcp_d", "0.14.1"), {"nuisance": "acompcor"}, {"xcpd-0.12-acompcor"}),
        (("xcp_d", "0.10.0"), ("xcp_d", "unknown"), {"nuisance": "acompcor"}, set()),
    ],
)
def test_what_changed_between_two_visits(first, second, settings, expected):
    changes = changes_between(Pipeline(*first, settings), Pipeline(*second, settings), "function")
    assert {change.id for change in changes} == expected


def test_change_of_an_upstream_program_counts():
    before, after = ({"upstream": f"fMRIPrep {version}"} for version in ("24.1.1", "25.2.3"))
    changes = changes_between(Pipeline("xcp_d", "26.1.1", before), Pipeline("xcp_d", "26.1.1", after), "function")
    assert [change.id for change in changes] == ["fmriprep-25.2-interpolation"]


def test_any_difference_of_freesurfer_versions_is_a_change():
    old, same, new = (Pipeline("FreeSurfer", version) for version in ("7.3.2", "7.3.2", "7.4.1"))
    assert changes_between(old, new, "morphometry")
    assert not changes_between(old, same, "morphometry")


def test_every_entry_says_what_who_and_where():
    errors, changes = shipped()
    assert len({entry.id for entry in (*errors, *changes)}) == len(errors) + len(changes)
    for entry in (*errors, *changes):
        assert re.match(r"https://\S+$", entry.source)
        assert entry.status in {"published", "derived"}
        assert entry.problem[-1] != "."
        assert entry.affects in {"function", "connectome", "morphometry"}
    for gate in errors:
        assert gate.action in {"refused", "used"}
        assert gate.remedy
        assert all(not start or not end or start < end for start, end in gate.versions)


@given(st.text(max_size=30))
def test_any_text_is_a_version_or_none(text):
    assert all(isinstance(part, int) for part in version_number(text))
