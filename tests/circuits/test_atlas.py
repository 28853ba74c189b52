"""Parcel names, networks and circuits; the choice of one atlas per study."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent.circuits.atlas import Unavailable, atlas_family, choose_atlas, lacking, parcellation, parse_label
from remanent.circuits.definitions import definitions


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("LH_Default_PFC_3", "LH_Default_PFC_3"),
        ("7Networks_LH_Default_PFC_3", "LH_Default_PFC_3"),
        ("LH-NAC", "LH_NAC"),
        ("RH_Amygdala", "RH_Amygdala"),
        ("Left-Amygdala", "LH_Amygdala"),
        ("lh_rostralanteriorcingulate", "LH_rostralanteriorcingulate"),
        ("ctx-rh-insula", "RH_insula"),
        ("AMY-lh", "LH_AMY"),
        ("aHIP-rh", "RH_aHIP"),
        ("L_25_ROI", "LH_25_ROI"),
        ("Cingulum_Ant_L", "LH_Cingulum_Ant"),
        ("Cerebellar_Region1", "Cerebellar_Region1"),
        ("LH_Vis_1  ", "LH_Vis_1"),
    ],
)
def test_one_spelling_for_every_generation(label, expected):
    assert parse_label(label).label == expected


@pytest.mark.parametrize(
    ("atlas", "family"),
    [
        ("4S456Parcels", "schaefer400"),
        ("4S1056Parcels", "schaefer1000"),
        ("4S_scale-156", "schaefer100"),
        ("Schaefer200", "schaefer200"),
        ("Schaefer2018400Parcels7Networks", "schaefer400"),
        ("Tian", "tian"),
        ("Glasser", "glasser"),
        ("Gordon", "gordon"),
        ("AAL", "aal"),
        ("AAL3v1", "aal3"),
        ("DesikanKilliany", "desikan"),
        ("something", "something"),
    ],
)
def test_atlas_families(atlas, family):
    assert atlas_family(atlas) == family


def test_schaefer_100_cannot_resolve_the_subgenual_cingulate_and_says_so():
    labels = ("LH_Default_PFC_3", "RH_Default_PFCdPFCm_1", "LH_Vis_1")
    for atlas in ("Schaefer100", "4S156Parcels"):
        subgenual = parcellation(atlas, labels).circuits["sgacc"]
        assert isinstance(subgenual, Unavailable)
        assert "cannot resolve" in subgenual.reason
    found = parcellation("4S456Parcels", ("LH_Default_PFC_4", *labels)).circuits["sgacc"]
    np.testing.assert_array_equal(found, [True, False, False, False])


def test_subcortex_by_name_in_every_atlas():
    for labels in (
        ("LH_Hippocampus", "RH_Hippocampus"),
        ("HIP-lh", "pHIP-rh"),
        ("Left-Hippocampus", "Right-Hippocampus"),
    ):
        assert parcellation("4S456Parcels", labels).circuits["hippocampus"].all()
    assert isinstance(parcellation("Tian", ("LH_Vis_1",)).circuits["amygdala"], Unavailable)


def test_a_file_that_lacks_parcels_is_not_taken_for_the_atlas():
    whole = tuple(f"LH_Vis_{i}" for i in range(156))
    assert (
        parcellation("4S156Parcels", whole).circuits["hippocampus"].reason
        == "atlas 4S156Parcels has no parcel for the hippocampus"
    )
    said = parcellation("4S156Parcels", whole[:96])
    start = "the file lacks 60 of the 156 parcels of atlas 4S156Parcels, and the others have no parcel"
    assert said.circuits["hippocampus"].reason == f"{start} for the hippocampus"
    assert said.networks["default"].reason == f"{start} named after the network default"
    assert [lacking(name, 100) for name in ("4S156Parcels", "Schaefer100", "Schaefer2018417", "Gordon", "AAL3")] == [
        56,
        0,
        317,
        0,
        0,
    ]


def test_seventeen_networks_are_not_mistaken_for_seven():
    found = parcellation("Schaefer400", ("17Networks_LH_DefaultA_PFC_1", "17Networks_LH_Limbic_OFC_1"))
    assert all(isinstance(members, Unavailable) for members in found.networks.values())


def test_gordon_has_no_limbic_network_of_yeo():
    found = parcellation("Gordon", ("L_Default_1", "R_FrontoParietal_2"))
    assert found.networks["default"].tolist() == [True, False]
    assert "Yeo" in found.networks["limbic"].reason


NAMED = ("default", "salventattn", "cont", "dorsattn", "limbic", "sgacc", "pgacc", "dacc", "pcc", "ains", "amygdala")
NAMED += ("hippocampus", "nac", "dlpfc_ba46", "dlpfc_beamf3", "dlpfc_5cm")
EXAMPLES = {  # some names as each atlas writes them, and what must be found by them
    "Tian": (("HIP-rh", "AMY-lh", "NAc-rh"), {"hippocampus", "amygdala", "nac"}),
    "TianS4": (("HIP-head-m1-rh", "lAMY-lh", "NAc-core-rh"), {"hippocampus", "amygdala", "nac"}),
    "Glasser": (
        ("L_25_ROI", "R_p32_ROI", "L_a32pr_ROI", "R_v23ab_ROI", "L_AVI_ROI", "L_H_ROI"),
        {"sgacc", "pgacc", "dacc", "pcc", "ains", "hippocampus"},
    ),
    "Gordon": (("L_Default_1", "R_DorsalAttn_2", "L_FrontoParietal_3"), {"default", "dorsattn", "cont"}),
    "AAL": (("Cingulum_Post_L", "Hippocampus_R", "Amygdala_L"), {"pcc", "hippocampus", "amygdala"}),
    "AAL3": (("ACC_sub_L", "ACC_pre_R", "ACC_sup_L", "N_Acc_R"), {"sgacc", "pgacc", "dacc", "nac"}),
    "Desikan": (
        (
            "lh_caudalanteriorcingulate",
            "rh_isthmuscingulate",
            "Left-Hippocampus",
            "Left-Amygdala",
            "Right-Accumbens-area",
        ),
        {"dacc", "pcc", "hippocampus", "amygdala", "nac"},
    ),
}


@pytest.mark.parametrize("atlas", EXAMPLES)
def test_every_circuit_of_every_atlas_is_found_or_unavailable_with_the_reason(atlas):
    labels, expected = EXAMPLES[atlas]
    places = parcellation(atlas, labels)
    for name in NAMED:
        members = places.members(name)
        if name in expected:
            assert members.any(), name
        else:
            assert isinstance(members, Unavailable)
            assert atlas in members.reason or "Gordon" in members.reason


@pytest.mark.parametrize("count", range(100, 1001, 100))
def test_a_schaefer_atlas_that_nobody_checked_gives_networks_and_says_so_of_circuits(count):
    labels = ("LH_Default_PFC_1", "LH_Hippocampus", "RH_SalVentAttn_Med_1")
    places = parcellation(f"4S{count + 56}Parcels", labels)
    assert places.members("default").tolist() == [True, False, False]
    assert places.members("hippocampus").tolist() == [False, True, False]
    checked = count in (100, 200, 300, 400, 1000)
    for name in ("sgacc", "dlpfc_ba46"):
        reason = places.members(name).reason
        assert ("nobody has checked" in reason) == (not checked), reason


@pytest.mark.real
def test_the_published_labels_of_the_4s_family_hold_every_network_and_the_subcortex(real_data):
    files = sorted((real_data / "atlas-4S").glob("*_dseg.tsv"))
    assert files
    for file in files:
        scale = file.name.split("scale-")[1].split("_")[0]
        names = tuple(line.split("\t")[1] for line in file.read_text().splitlines()[1:])
        assert len(names) == int(scale)
        places = parcellation(f"4S{scale}Parcels", names)
        assert sum(places.members(n).sum() for n in definitions().networks) == int(scale) - 56
        for name in ("hippocampus", "amygdala", "nac", "amygdala_left", "amygdala_right"):
            assert places.members(name).any(), name
        resolved = [n for n in definitions().circuits if not isinstance(places.members(n), Unavailable)]
        assert ("sgacc" in resolved) == (scale != "156")
        assert {"dacc", "pcc", "dlpfc_ba46", "dlpfc_beamf3", "dlpfc_5cm"} <= set(resolved)


def test_every_named_circuit_exists_and_every_number_has_a_source():
    spec = definitions()
    known = set(spec.circuits) | set(spec.networks)
    assert {name for pair in spec.connections for name in pair} <= known
    assert {name for edges in spec.scores.values() for edge in edges for name in (edge.first, edge.second)} <= known
    assert set(spec.timescales) <= known
    assert not set(spec.circuits) & set(spec.networks)
    for number in (*spec.rules.values(), *spec.scan_rescan.values()):
        assert number.status in {"published", "derived", "assumed"}
        assert number.source
    for circuit in spec.circuits.values():
        assert circuit.source
        assert not set(circuit.parcels) & set(circuit.unresolved)


def test_one_atlas_per_study():
    assert choose_atlas([{"4S156Parcels", "4S456Parcels"}, {"4S156Parcels", "4S456Parcels"}]) == "4S456Parcels"
    assert choose_atlas([{"4S156Parcels", "4S456Parcels"}, {"4S156Parcels"}]) == "4S156Parcels"
    assert choose_atlas([{"b"}, {"a"}, set()]) == "a"
    with pytest.raises(ValueError, match="no session offers"):
        choose_atlas([set()])


@given(st.lists(st.sets(st.sampled_from(["Schaefer100", "Schaefer400", "Tian", "x"]), min_size=1), min_size=1))
def test_choice_does_not_depend_on_the_order_of_sessions(available):
    assert choose_atlas(available) == choose_atlas(available[::-1])


@given(st.text(max_size=40))
def test_any_label_can_be_parsed(label):
    assert isinstance(parse_label(label).label, str)
