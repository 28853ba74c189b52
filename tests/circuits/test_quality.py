"""Rules that forbid a scan, known errors of the software, and drift within a person: each with its reason."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from remanent.circuits.drift import flag_drift, processing
from remanent.circuits.measure import atlases, measure, runs_to_measure
from remanent.study.session import Pipeline, SessionData


@pytest.fixture(scope="module")
def x(scanner):
    return scanner.series(np.random.default_rng(0), n=240)


def fc(features):
    return [feature for name, feature in features.items() if name.startswith("fc_") and np.isfinite(feature.value)]


def test_usable_minutes_volumes_and_motion_are_reported(scanner, x):
    kept = np.ones(240, dtype=bool)
    kept[100:160] = False
    fd = np.full(240, 0.1)
    fd[0], fd[100:160] = np.nan, 0.9
    got = scanner.features(scanner.session(scanner.run(x[kept], kept=kept, fd_mm=fd)))
    assert got["qc_volumes_retained"].value == 180
    assert got["qc_minutes_usable"].value == pytest.approx(6.0)
    assert got["qc_mean_fd"].value == pytest.approx(np.nanmean(fd))
    assert all(feature.usable for feature in fc(got))
    reported = scanner.features(scanner.session(scanner.run(x, quality={"mean_fd": 0.21})))
    assert reported["qc_mean_fd"].value == 0.21


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tr_s": 0.7}, "usable minutes"),
        ({"fd_mm": np.full(240, 0.4)}, "moved more than 0.3 mm"),
        ({"kept": np.ones(200, dtype=bool)}, "cannot be placed in time"),
    ],
)
def test_a_rule_that_is_broken_forbids_use_and_says_why(scanner, x, change, words):
    got = scanner.features(scanner.session(scanner.run(x, **change)))
    assert fc(got)
    for feature in fc(got):
        assert not feature.usable
        assert words in feature.reason
        assert np.isfinite(feature.se)


def test_motion_that_was_censored_does_not_forbid_use(scanner, x):
    fd = np.where(np.arange(240) < 90, 0.5, 0.1)
    kept = fd < 0.3
    assert all(f.usable for f in fc(scanner.features(scanner.session(scanner.run(x[kept], kept=kept, fd_mm=fd)))))


def test_uncovered_parcels_are_dropped(scanner, x):
    coverage = np.ones(len(scanner.labels))
    coverage[:3] = [0.2, np.nan, 0.5]
    got = scanner.features(scanner.session(scanner.run(x, coverage=coverage)))
    assert got["qc_parcels_dropped"].value == 2 + 100 - len(scanner.labels)


def test_parcels_that_the_atlas_has_and_the_file_lacks_are_counted_and_named_as_such(scanner, x):
    missing = 100 - len(scanner.labels)
    got = scanner.features(scanner.session(scanner.run(x)))
    assert got["qc_parcels_dropped"].value == missing == 30
    assert (
        got["qc_parcels_dropped"].reason
        == "30 of the 100 parcels of atlas Schaefer100, which the file lacks (XCP-D writes every parcel)"
    )
    lacks = (
        "the file lacks 30 of the 100 parcels of atlas Schaefer100, and the others have no parcel for the hippocampus"
    )
    assert any(lacks in feature.reason for feature in got.values())


def test_known_errors_of_the_software_reach_every_value_and_leave_it_usable(scanner, x, morphometry):
    run = scanner.run(x, doubts=("version 25.1 interpolates wrongly",))
    wires = tuple(replace(one, doubts=("grid bug #399",)) for one in scanner.connectomes)
    got = scanner.features(
        scanner.session(run, connectomes=wires, morphometry=(replace(morphometry, doubts=("old",)),))
    )
    assert got["fc_vis_vis"].usable
    assert "interpolates" in got["fc_vis_vis"].reason
    assert got["sc_density"].reason == "grid bug #399"
    assert "interpolates" in got["sfc_spearman_vis"].reason
    assert "grid bug" in got["sfc_spearman_vis"].reason
    assert got["vol_hippocampus"].reason == "old"


def test_two_runs_are_joined_and_never_made_neighbours(scanner, x):
    first, second = x[:120], x[120:] * 3 + 5
    got = scanner.features(
        scanner.session(scanner.run(first, source="a_run-1_b"), scanner.run(second, source="a_run-2_b"))
    )
    standard = [(part - part.mean(0)) / part.std(0) for part in (first, second)]
    z = np.arctanh(np.corrcoef(np.concatenate(standard).T) - np.eye(len(scanner.labels)))
    vis = np.array(["_Vis_" in label for label in scanner.labels])
    pairs = np.triu_indices(vis.sum(), 1)
    assert got["fc_vis_vis"].value == pytest.approx(z[np.ix_(vis, vis)][pairs].mean(), abs=1e-12)
    assert got["qc_volumes_retained"].value == 240


def test_rest_is_measured_rather_than_tasks(scanner, x):
    rest, task = scanner.run(x), scanner.run(x, task="nback")
    assert runs_to_measure([rest, task], scanner.atlas) == [rest]
    assert runs_to_measure([task], scanner.atlas) == [task]
    assert runs_to_measure([rest], "another") == []


def test_a_session_can_be_sent_to_another_process_and_gives_the_same_bits(scanner, x, morphometry):
    session = scanner.session(scanner.run(x), morphometry=(morphometry,))
    here, there = measure(session), measure(copy.deepcopy(session))  # through the same protocol as pickle
    assert repr(here) == repr(there)
    assert pickle.dumps(here) == pickle.dumps(there)
    assert len({feature.name for feature in here}) == len(here)


def test_nothing_measured_gives_nothing():
    assert measure(SessionData("sub-01", "ses-01")) == ()
    assert atlases(SessionData("sub-01", "ses-01")) == frozenset()


def person(scanner, x, *pipelines):
    sessions = [scanner.session(scanner.run(x, pipeline=pipeline)) for pipeline in pipelines]
    measured = flag_drift([measure(one) for one in sessions], [processing(one, scanner.atlas) for one in sessions])
    return [{feature.name: feature for feature in session} for session in measured]


def test_another_version_is_flagged_on_every_value_it_touches(scanner, x):
    old, new = Pipeline("XCP-D", "0.10.6"), Pipeline("XCP-D", "26.1.1")
    first, second, third = person(scanner, x, old, old, new)
    assert not first["fc_vis_vis"].reason
    assert not second["fc_vis_vis"].reason
    for name in ("fc_vis_vis", "q_yeo7", "sfc_spearman_global", "ac1_acc"):
        assert third[name].usable
        assert "version 26.1.1 (other visits: 0.10.6)" in third[name].reason
    assert not third["sc_density"].reason


def test_other_settings_make_the_later_visit_unusable(scanner, x):
    with_gsr = Pipeline("XCP-D", "26.1.1", {"nuisance": "36P"})
    without = Pipeline("XCP-D", "26.1.1", {"nuisance": "24P"})
    first, second = person(scanner, x, with_gsr, without)
    assert first["fc_vis_vis"].usable
    assert not second["fc_vis_vis"].usable
    assert "nuisance 24P (other visits: 36P)" in second["fc_vis_vis"].reason
    assert second["sc_density"].usable


def test_a_version_across_a_known_change_of_meaning_makes_the_later_visit_unusable(scanner, x):
    old = Pipeline("XCP-D", "0.10.6", {"level": "concatenated"})
    new = Pipeline("XCP-D", "26.1.1", {"level": "concatenated"})
    first, second = person(scanner, x, old, new)
    assert first["fc_vis_vis"].usable
    assert not second["fc_vis_vis"].usable
    assert "standardised before they are joined" in second["fc_vis_vis"].reason


def test_a_setting_that_one_visit_does_not_tell_is_doubtful_not_unusable(scanner, x):
    told, silent = Pipeline("XCP-D", "26.1.1", {"nuisance": "36P"}), Pipeline("XCP-D", "26.1.1")
    _, second = person(scanner, x, told, silent)
    assert second["fc_vis_vis"].usable
    assert "nuisance unknown (other visits: 36P)" in second["fc_vis_vis"].reason
