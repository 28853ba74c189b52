"""From files to flags: visits that were processed differently, connections that stay fixed, the same values whoever works."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from remanent.stages.comparable import compare
from remanent.stages.measure import measure_study
from remanent.study.store import Record

NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
LABELS = tuple(f"{side}H_{network}_{i}" for side in "LR" for network in NETWORKS for i in (1, 2))
FRAMES, TR_S = 160, 2.0
DESIGN = {True: "trans_x\tglobal_signal\tlinear_trend\n", False: "trans_x\tlinear_trend\n"}


class Disk:
    """A study of a few visits, each written as one version and one choice of settings would."""

    def __init__(self, root: Path):
        self.root = root
        self.people: dict[str, list[str]] = {}
        self.text("dataset_description.json", json.dumps({"Name": "visits", "BIDSVersion": "1.10.0"}))

    def text(self, path, content):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content, encoding="utf-8")

    def made_by(self, folder, name, version):
        self.text(
            f"derivatives/{folder}/dataset_description.json",
            json.dumps({"GeneratedBy": [{"Name": name, "Version": version}]}),
        )

    def visit(self, who, session, day, *, version="26.1.1", gsr=True, threshold=0.3, atlas="Schaefer28", wired=True):
        rng = np.random.default_rng([ord(c) for c in who + session])
        folder = f"xcp_d-{version}"
        self.made_by(folder, "xcp_d", version)
        start = f"derivatives/{folder}/{who}/{session}/func/{who}_{session}_task-rest"
        x = rng.standard_normal((FRAMES, 4)) @ rng.standard_normal((4, len(LABELS))) + rng.standard_normal((FRAMES, 28))
        entity = "atlas" if version >= "26" else "seg"
        series = f"{start}_space-fsLR_{entity}-{atlas}_stat-mean_timeseries"
        rows = "\n".join("\t".join(f"{v:.5f}" for v in row) for row in x)
        self.text(f"{series}.tsv", "\t".join(LABELS) + "\n" + rows + "\n")
        self.text(f"{series}.json", json.dumps({"RepetitionTime": TR_S}))
        self.text(f"{start}_design.tsv", DESIGN[gsr] + "0\t" * DESIGN[gsr].count("\t") + "0\n")
        self.text(f"{start}_outliers.tsv", "framewise_displacement\n" + "0\n" * FRAMES)
        self.text(f"{start}_outliers.json", json.dumps({"framewise_displacement": {"Threshold": threshold}}))
        if wired:
            self.connectome(who, session, rng)
        self.people.setdefault(who, []).append(f"{session}\t{day}")

    def connectome(self, who, session, rng):
        self.made_by("qsirecon-MRtrix3_act-HSVS", "qsirecon", "1.1.1")
        path = f"derivatives/qsirecon-MRtrix3_act-HSVS/{who}/{session}/dwi/{who}_{session}_space-ACPC_connectivity.mat"
        shape = (len(LABELS), len(LABELS))
        weight, length = (
            np.triu(rng.exponential(size=shape) * (rng.random(shape) < 0.6), 1),
            np.triu(1 + rng.random(shape), 1),
        )
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        content = {
            "atlas_Schaefer28_region_labels": np.array(LABELS),
            "atlas_Schaefer28_radius2_count_connectivity": weight + weight.T,
            "atlas_Schaefer28_radius2_meanlength_connectivity": length + length.T,
        }
        savemat(self.root / path, content)

    def measured(self, out, workers=1, participants=()):
        self.text("participants.tsv", "participant_id\n" + "\n".join(self.people) + "\n")
        for who, rows in self.people.items():
            self.text(f"{who}/{who}_sessions.tsv", "session_id\tday\n" + "\n".join(rows) + "\n")
        return measure_study(self.root, out, workers=workers, participants=participants, log=lambda *_, **__: None)


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "study")


def compared(out):
    with Record.open(out) as record:
        found = compare(record, record.tables(), out, learn_anew=True)
        return found, record.problems()


def rows_of(found, who, session, start="fc_"):
    table = found.features
    mine = (table["participant_id"] == who) & (table["session_id"] == session)
    return table.select(mine & np.array([name.startswith(start) for name in table["feature"]], dtype=bool))


def values(table):
    return dict(zip(table["feature"], map(repr, table["value"].tolist()), strict=True))


def test_visits_that_were_processed_alike_are_not_flagged(disk, tmp_path):
    for session, day in (("ses-01", -10), ("ses-02", 5), ("ses-03", 90)):
        disk.visit("sub-01", session, day)
    disk.measured(tmp_path / "out")
    found, problems = compared(tmp_path / "out")
    assert found.flags == {}
    assert problems == ()
    assert rows_of(found, "sub-01", "ses-02")["usable"].any()
    assert not [r for r in rows_of(found, "sub-01", "ses-02")["reason"] if r and "unlike" in r]


def test_another_version_is_said_on_every_value_of_its_visit_and_leaves_it_usable(disk, tmp_path):
    for session, day, version in (("ses-01", -10, "26.1.1"), ("ses-02", 5, "0.14.2"), ("ses-03", 90, "26.1.1")):
        disk.visit("sub-01", session, day, version=version)
        disk.visit("sub-02", session, day, wired=False)
    disk.measured(tmp_path / "out")
    found, problems = compared(tmp_path / "out")
    for start in ("fc_", "q_", "participation_", "sfc_"):
        mine = rows_of(found, "sub-01", "ses-02", start)
        assert len(mine)
        assert all("version 0.14.2 (other visits: 26.1.1)" in reason for reason in mine["reason"])
    assert rows_of(found, "sub-01", "ses-02")["usable"].any()
    assert not any("unlike" in (r or "") for r in rows_of(found, "sub-01", "ses-02", "sc_")["reason"])
    for session in ("ses-01", "ses-03"):
        assert not any("unlike" in (r or "") for r in rows_of(found, "sub-01", session)["reason"])
    assert list(found.flags) == ["sub-01"]
    assert "ses-02" in found.flags["sub-01"][0]
    assert "1 participants" in found.cohort_flags[0]
    (problem,) = problems
    assert problem.action == "used"
    assert "sub-01_ses-02" in problem.file
    assert "version 0.14.2" in problem.problem


@pytest.mark.parametrize(
    ("other", "words"),
    [({"gsr": False}, "gsr no (other visits: yes)"), ({"threshold": 0.5}, "fd_threshold_mm 0.5 (other visits: 0.3)")],
)
def test_other_settings_are_another_quantity(disk, tmp_path, other, words):
    disk.visit("sub-01", "ses-01", 5)
    disk.visit("sub-01", "ses-02", 90, **other)
    disk.measured(tmp_path / "out")
    found, problems = compared(tmp_path / "out")
    first, second = (rows_of(found, "sub-01", session) for session in ("ses-01", "ses-02"))
    assert all(words in reason for reason in second["reason"])
    assert not second["usable"].any()
    assert first["usable"].any()
    assert all("unlike" in reason for reason in first["reason"])  # neither is the rule
    assert {problem.action for problem in problems} == {"set_aside", "used"}


def test_a_visit_on_another_atlas_is_said_to_take_no_part(disk, tmp_path):
    disk.visit("sub-01", "ses-01", 5)
    disk.visit("sub-01", "ses-02", 90)
    disk.visit("sub-01", "ses-03", 180, atlas="Schaefer028", wired=False)
    disk.measured(tmp_path / "out")
    found, problems = compared(tmp_path / "out")
    assert len(rows_of(found, "sub-01", "ses-03")) == 0
    (problem,) = problems
    assert problem.action == "set_aside"
    assert "Schaefer028" in problem.problem
    assert "Schaefer28" in problem.problem


def test_a_new_visit_measures_itself_alone_and_changes_no_earlier_value(disk, tmp_path):
    out = tmp_path / "out"
    for who in ("sub-01", "sub-02"):
        for session, day in (("ses-01", 5), ("ses-02", 90)):
            disk.visit(who, session, day)
    assert disk.measured(out).sessions_measured == 4
    before, _ = compared(out)
    disk.visit("sub-01", "ses-03", 180, version="0.14.2")
    summary = disk.measured(out)
    assert (summary.sessions_measured, summary.sessions_unchanged) == (1, 4)
    after, _ = compared(out)
    for who, session in (("sub-01", "ses-01"), ("sub-01", "ses-02"), ("sub-02", "ses-01"), ("sub-02", "ses-02")):
        for start in ("fc_", "sc_", "sfc_"):
            assert values(rows_of(before, who, session, start)) == values(rows_of(after, who, session, start))
    assert any("unlike" in (r or "") for r in rows_of(after, "sub-01", "ses-03")["reason"])


def test_connections_are_those_of_half_the_study_and_stay_until_they_are_removed(disk, tmp_path):
    out = tmp_path / "out"
    for who in ("sub-01", "sub-02"):
        disk.visit(who, "ses-01", 5)
    disk.measured(out)
    (path,) = (out / "draws").glob("connections-*")
    found, _ = compared(out)
    targets = {values(rows_of(found, who, "ses-01", "sfc_targets"))["sfc_targets"] for who in ("sub-01", "sub-02")}
    assert len(targets) == 1
    for i in range(3, 9):
        disk.visit(f"sub-0{i}", "ses-01", 5)
    disk.measured(out)
    assert list((out / "draws").glob("connections-*")) == [path]
    _, problems = compared(out)
    (grown,) = problems
    assert "chosen from 2 connectomes" in grown.problem
    assert grown.file == f"draws/{path.name}"
    path.unlink()
    assert disk.measured(out).sessions_measured == 8
    assert compared(out)[1] == ()


def test_one_participant_alone_is_measured_on_the_connections_of_all(disk, tmp_path):
    for who in ("sub-01", "sub-02", "sub-03"):
        disk.visit(who, "ses-01", 5)
    disk.measured(tmp_path / "all")
    disk.measured(tmp_path / "one", participants=("sub-02",))
    whole, alone = (compared(tmp_path / name)[0] for name in ("all", "one"))
    assert values(rows_of(whole, "sub-02", "ses-01", "sfc_")) == values(rows_of(alone, "sub-02", "ses-01", "sfc_"))


def test_two_workers_give_the_same_bits_as_one(disk, tmp_path):
    for i in range(4):
        disk.visit(f"sub-0{i}", "ses-01", 5, version="26.1.1" if i % 2 else "0.14.2")
    for workers in (1, 2):
        disk.measured(tmp_path / str(workers), workers=workers)
    one, two = (compared(tmp_path / str(workers))[0].features for workers in (1, 2))
    for name in one.columns:
        same = partial(np.array_equal, equal_nan=True) if one[name].dtype == float else np.array_equal
        assert same(one[name], two[name]), name


def test_a_table_that_lacks_parcels_of_its_atlas_is_told(disk, tmp_path):
    out = tmp_path / "out"
    disk.visit("sub-01", "ses-01", 5, atlas="Schaefer100", wired=False)
    disk.measured(out)
    with Record.open(out) as record:
        (problem,) = [p for p in record.problems() if "take no part in the measures" in p.problem]
    assert problem.file.endswith("_timeseries.tsv")
    assert (problem.action, problem.participant_id) == ("used", "sub-01")
    assert '"72" parcels' in problem.problem
    assert "72 of the 100 parcels of atlas Schaefer100, which the file lacks" in problem.problem
