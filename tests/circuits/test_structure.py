"""Morphometry, connectome strength and paths: by hand, and against netneurotools' numbers."""

from dataclasses import replace

import numpy as np
import pytest

from remanent.circuits.definitions import definitions
from remanent.circuits.drift import processing
from remanent.circuits.structure import scalar_of
from remanent.circuits.wiring import communicability, distances, reciprocal, symmetric
from remanent.study.session import Connectome, Morphometry, Pipeline, SessionData, Tracts


def test_path_lengths_equal_netneurotools_and_bctpy(peers):
    sc = np.array(peers["graph"]["sc"], dtype=float)
    ours = distances(reciprocal(sc))
    for peer in ("nnt_distance", "bct_distance"):
        theirs = np.array(peers["graph"][peer], dtype=float)
        np.fill_diagonal(theirs, np.nan)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    assert np.isnan(ours[13]).all()


def test_communicability_equals_netneurotools_and_survives_an_isolated_parcel(peers):
    sc = np.array(peers["graph"]["sc"], dtype=float)
    theirs = np.array(peers["graph"]["nnt_communicability"], dtype=float)
    np.fill_diagonal(theirs, np.nan)
    ours = communicability(sc)
    np.testing.assert_allclose(ours[:13, :13], theirs, rtol=0, atol=1e-10)
    assert np.isnan(ours[13]).all()


def test_volumes_carry_the_published_scan_rescan_error(scanner, morphometry):
    got = scanner.features(SessionData("sub-01", "ses-01", morphometry=(morphometry,)))
    spread = definitions().scan_rescan["volume"].value
    assert got["vol_hippocampus"].value == 4100.0
    assert got["vol_hippocampus"].se == pytest.approx(4100 * spread)
    assert got["vol_hippocampus_left"].value == 4000.0
    assert got["thick_racc"].value == pytest.approx(2.7)
    assert got["vol_amygdala_left"].usable
    assert not got["vol_amygdala"].usable
    assert "Right-Amygdala" in got["vol_amygdala"].reason


def test_longitudinal_results_go_first(scanner, morphometry):
    stream = Morphometry(
        "long",
        Pipeline("FreeSurfer", "7.4.1"),
        {"Left-Hippocampus": 1.0, "Right-Hippocampus": 3.0},
        {},
        None,
        longitudinal=True,
    )
    got = scanner.features(SessionData("sub-01", "ses-01", morphometry=(morphometry, stream)))
    assert got["vol_hippocampus"].value == 2.0


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_impossible_volumes_are_missing(scanner, bad):
    one = Morphometry(
        "s",
        Pipeline("FreeSurfer", "7"),
        {"Left-Hippocampus": bad, "Right-Hippocampus": 4000.0},
        {},
        bad,
        longitudinal=False,
    )
    got = scanner.features(SessionData("sub-01", "ses-01", morphometry=(one,)))
    assert not got["vol_hippocampus"].usable
    assert not got["vol_hippocampus_left"].usable
    assert got["vol_hippocampus_right"].usable
    assert not got["vol_etiv"].usable


def test_strengths_by_hand(scanner):
    got = scanner.features(SessionData("sub-01", "ses-01", connectomes=scanner.connectomes))
    w = np.log1p(scanner.connectomes[0].weights)
    off = ~np.eye(len(w), dtype=bool)
    vis = np.array(["_Vis_" in label for label in scanner.labels])
    limbic = np.array(["_Limbic_" in label for label in scanner.labels])
    frontal = np.array([part in label for label in scanner.labels for part in ["PFC"]]).reshape(len(w), -1).any(axis=1)
    assert got["sc_strength_global"].value == pytest.approx(w[off].mean(), abs=1e-12)
    assert got["sc_density"].value == pytest.approx((w[off] > 0).mean(), abs=1e-12)
    assert got["sc_strength_vis"].value == pytest.approx(w[vis][off[vis]].mean(), abs=1e-12)
    assert got["sc_strength_frontolimbic"].value == pytest.approx(w[np.ix_(limbic, frontal)].mean(), abs=1e-12)
    stronger = np.log1p(scanner.connectomes[0].weights * (1 + 1e-6 * definitions().scan_rescan["connectome"].value))
    assert got["sc_strength_vis"].se == pytest.approx(1e6 * (stronger - w)[vis][off[vis]].mean(), rel=1e-3)
    assert not any(name.startswith(("fc_", "sfc_")) for name in got)


def test_bad_weights_take_out_their_pair_only(scanner):
    weights = scanner.connectomes[0].weights.copy()
    for place, bad in (((0, 1), np.nan), ((2, 3), -5.0), ((4, 5), np.inf)):
        weights[place] = bad
    clean = symmetric(weights)
    assert np.isnan([clean[0, 1], clean[1, 0], clean[2, 3], clean[3, 2], clean[4, 5], clean[5, 4]]).all()
    assert np.isfinite(clean).sum() == len(clean) * (len(clean) - 1) - 6
    one = Connectome("c", scanner.atlas, scanner.labels, "radius2_count", Pipeline("q", "1"), weights)
    got = scanner.features(SessionData("s", "1", connectomes=(one,)))
    w = np.log1p(clean)
    assert got["sc_strength_global"].value == pytest.approx(np.nanmean(w), abs=1e-12)


def test_an_empty_connectome_is_unavailable_with_a_reason(scanner):
    for weights in (np.zeros((70, 70)), np.full((70, 70), np.nan)):
        one = Connectome("c", scanner.atlas, scanner.labels, "radius2_count", Pipeline("q", "1"), weights)
        got = scanner.features(SessionData("s", "1", connectomes=(one,)))
        assert not any(feature.usable for feature in got.values())
        assert all(feature.reason for feature in got.values())


def test_subfields_add_their_parts_in_every_spelling(scanner, morphometry):
    new = {f"{side}.CA1-{part}": 100.0 * k for side in ("lh", "rh") for k, part in enumerate(("head", "body"), 1)}
    old = {"lh.CA1": 250.0, "rh.CA1": 350.0}
    for volumes, left, mean in ((new, 300.0, 300.0), (old, 250.0, 300.0)):
        got = scanner.features(scanner.session(morphometry=(replace(morphometry, volume_mm3=volumes),)))
        assert got["vol_hippocampus_ca1_left"].value == left
        assert got["vol_hippocampus_ca1"].value == mean
        assert got["vol_hippocampus_ca1"].se == pytest.approx(0.05 * mean)
    assert "vol_amygdala_basal" not in got


def test_a_subfield_without_one_of_its_parts_is_unavailable(scanner, morphometry):
    volumes = {"lh.CA1-head": 100.0, "rh.CA1-head": 100.0, "rh.CA1-body": 100.0}
    got = scanner.features(scanner.session(morphometry=(replace(morphometry, volume_mm3=volumes),)))
    assert not got["vol_hippocampus_ca1"].usable
    assert not got["vol_hippocampus_ca1_left"].usable
    assert got["vol_hippocampus_ca1_right"].value == 200.0


def test_tract_scalars_are_means_over_the_bundles_of_a_tract(scanner):
    def tracts(scalar, **mean):
        return Tracts("s.tsv", Pipeline("qsirecon", "1.1.1"), scalar, mean, ("doubt",))

    both = {"Association_CingulumL_Frontal_Parietal": 9.0, "AssociationCingulumFrontalParietalL": 0.4}
    both |= {"AssociationCingulumFrontalParietalR": 0.5, "ProjectionBasalGangliaFornixL": 0.3}
    session = scanner.session(connectomes=(), tracts=(tracts("dki_fa", **both), tracts("dti_fa", **both)))
    got = scanner.features(session)
    assert got["fa_cingulum"].value == pytest.approx(0.45)
    assert got["fa_cingulum"].reason == "doubt"
    assert not got["fa_fornix"].usable
    assert "fornix" in got["fa_fornix"].reason
    assert not [name for name in got if name.startswith("md_")]
    assert scalar_of(session.tracts, "fa").scalar == "dti_fa"
    assert processing(session, None).modalities["tracts"].facts["scalars"] == "dti_fa"
