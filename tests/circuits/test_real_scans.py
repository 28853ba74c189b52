"""Real repeat scans: two people, two resting runs each (minimally preprocessed, no global signal regression)."""

from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from scipy import signal, stats
from scipy.io import loadmat

from remanent.circuits.measure import measure
from remanent.study.session import Connectome, Pipeline, Run, SessionData

pytestmark = pytest.mark.real
UNKNOWN = Pipeline("cubnm data", "0.1.0")


def session(series_file: Path, connectome_file: Path) -> SessionData:
    labels = tuple(series_file.read_text().splitlines()[0].split("\t"))
    series = np.loadtxt(series_file, skiprows=1)
    mat = loadmat(connectome_file)
    names = tuple(str(name).strip() for name in mat["atlas_Schaefer100_region_labels"])
    connectomes = tuple(
        Connectome(
            "c", "Schaefer100", names, kind, UNKNOWN, mat[f"atlas_Schaefer100_{kind}_connectivity"].astype(float)
        )
        for kind in ("sift_invnodevol_radius2_count", "radius2_meanlength")
    )
    run = Run(series_file.name, "rest", "Schaefer100", labels, UNKNOWN, series=series, tr_s=0.72)
    return SessionData("sub", "ses", runs=(run,), connectomes=connectomes)


def denoised(one: SessionData) -> SessionData:
    """What XCP-D's default does and these series lack: global signal regression and a 0.01-0.08 Hz band-pass."""
    run = one.runs[0]
    x = signal.detrend(run.series, axis=0)
    mean = stats.zscore(x).mean(axis=1, keepdims=True)
    x = x - mean @ np.linalg.lstsq(mean, x)[0]
    band = signal.butter(2, [0.01, 0.08], "band", fs=1 / run.tr_s, output="sos")
    return replace(one, runs=(replace(run, series=signal.sosfiltfilt(band, x, axis=0)),))


@pytest.fixture(scope="module")
def scans(real_data):
    folder = real_data / "hcp-retest" / "derivatives"
    found = []
    for person in ("sub-100206", "sub-100307"):
        series = sorted((folder / "xcp_d" / person).rglob("*stat-mean_timeseries.tsv"))
        connectome = next((folder / "qsirecon-MRtrix3_act-HSVS" / person).rglob("*connectivity.mat"))
        found.append([session(one, connectome) for one in series])
    return found


@pytest.fixture(scope="module")
def people(scans):
    return [[{f.name: f for f in measure(one)} for one in person] for person in scans]


@pytest.fixture(scope="module")
def cleaned(scans):
    return [[{f.name: f for f in measure(denoised(one))} for one in person] for person in scans]


NETWORKS = ("cont", "default", "dorsattn", "limbic", "salventattn", "sommot", "vis")
MEANS = [f"fc_{a}_{b}" for a, b in combinations_with_replacement(NETWORKS, 2)]


def profile(features, names=MEANS):
    return np.array([features[name].value for name in names])


def repeat_z(person, names):
    """Repeat difference over its claimed error."""
    first, second = person
    return [(second[name].value - first[name].value) / np.hypot(first[name].se, second[name].se) for name in names]


def test_everything_the_atlas_resolves_is_measured(people):
    for person in people:
        for features in person:
            lost = {name: feature.reason for name, feature in features.items() if not feature.usable}
            assert all("atlas Schaefer100" in reason for name, reason in lost.items() if name != "qc_mean_fd")
            assert all(features[name].se > 0 for name in MEANS)


@pytest.mark.parametrize("which", ["people", "cleaned"])
def test_a_persons_own_repeat_is_closer_than_another_persons_scan(which, request):
    first, second = request.getfixturevalue(which)
    own = [np.linalg.norm(profile(a) - profile(b)) for a, b in (first, second)]
    other = [np.linalg.norm(profile(a) - profile(b)) for a in first for b in second]
    assert np.mean(own) < np.mean(other)


def test_repeat_differences_are_near_the_claimed_errors_once_denoised(people, cleaned, capsys):
    """Near a standard normal (root mean square 1.3) with global signal regression; 3.9 and 1.5 without it.

    What changes in a brain between two sessions, above all the global signal, is not in the error of one scan.
    """
    with capsys.disabled():
        print("\nrepeat difference / its claimed error, person 1 and 2: as published | denoised")
        for name in MEANS:
            raw, clean = ([repeat_z(person, [name])[0] for person in group] for group in (people, cleaned))
            print(f"  {name:28s} {raw[0]:6.2f} {raw[1]:6.2f} | {clean[0]:6.2f} {clean[1]:6.2f}")
    for kind, most in (("fc_", 1.7), ("sfc_", 1.7), ("participation_", 1.5)):
        names = MEANS if kind == "fc_" else [n for n in cleaned[0][0] if n.startswith(kind) and n != "sfc_targets"]
        rms = np.sqrt(np.mean(np.square([repeat_z(person, names) for person in cleaned])))
        assert 0.5 < rms < most
