"""FreeSurfer's stats: exact numbers, every layout, and broken files."""

from pathlib import Path

import pytest

from remanent.study.bids import load_session
from remanent.study.derivatives.files import RefusedError
from remanent.study.derivatives.freesurfer import read_stats, read_volumes
from remanent.study.index import index_study
from remanent.study.session import Morphometry, SessionData

ASEG = """# Title Segmentation Statistics
# cvs_version {version}
# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1169408.000000, mm^3
# Measure lhSurfaceHoles, lhSurfaceHoles, Number of defect holes in lh surfaces prior to fixing, 24, unitless
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, {etiv}, mm^3
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange
  1  17  4357  {left}  Left-Hippocampus  65.6167 8.2438 26.0000 108.0000 82.0000
  2  53  4400  4401.5  Right-Hippocampus  65.0 8.0 26.0 108.0 82.0
"""
APARC = """# cvs_version $Id: mris_anatomical_stats.c,v 1.79 2016/03/14 15:15:34 greve Exp $
# Measure Cortex, CortexVol Total cortical gray matter volume, 553998.311189, mm^3
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1670487.274486, mm^3
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd
rostralanteriorcingulate  1711  1136  3395  2.622 0.662  0.124  0.026  29  1.7
"""
SUBFIELDS = """# Hippocampal subfield volumes
# ColHeaders Index SegId NVoxels Volume_mm3 StructName
1 226 0 {tail} Hippocampal_tail
2 0 0 3500.25 Whole_hippocampus
"""


def write(root: Path, subject: str, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / "derivatives" / "freesurfer" / subject / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def aseg(etiv: str = "1420434.160521", left: str = "4333.5", version: str = "7.4.1") -> str:
    return ASEG.format(etiv=etiv, left=left, version=version)


def load(root: Path, session: str = "ses-a") -> SessionData:
    sessions = {found.session_id: found for found in index_study(root).sessions}
    return load_session(root, sessions[session])


def only(session: SessionData) -> Morphometry:
    assert not session.problems
    (found,) = session.morphometry
    return found


def test_numbers_of_one_session(tmp_path):
    write(
        tmp_path,
        "sub-01_ses-a",
        {"stats/aseg.stats": aseg(), "stats/lh.aparc.stats": APARC, "stats/rh.aparc.stats": APARC},
    )
    found = only(load(tmp_path))
    assert found.volume_mm3["Left-Hippocampus"] == 4333.5
    assert found.volume_mm3["BrainSegVol"] == 1169408
    assert found.volume_mm3["CortexVol"] == 553998.311189
    assert found.volume_mm3["lh.rostralanteriorcingulate"] == 3395
    assert found.thickness_mm == {"lh.rostralanteriorcingulate": 2.622, "rh.rostralanteriorcingulate": 2.622}
    assert "lhSurfaceHoles" not in found.volume_mm3
    assert found.etiv_mm3 == 1420434.160521
    assert (found.pipeline.version, found.longitudinal) == ("7.4.1", False)


def test_head_size_of_the_longitudinal_stream_is_the_base_templates(tmp_path):
    write(tmp_path, "sub-01", {"stats/aseg.stats": aseg("1500000.0")})
    write(tmp_path, "sub-01_ses-a", {"stats/aseg.stats": aseg("1400000.0", "4000.0")})
    write(tmp_path, "sub-01_ses-a.long.sub-01", {"stats/aseg.stats": aseg("1410000.0", "4100.0")})
    found = only(load(tmp_path))
    assert found.longitudinal
    assert found.etiv_mm3 == 1500000
    assert found.volume_mm3["Left-Hippocampus"] == 4100
    assert found.pipeline.settings["stream"] == "longitudinal"


@pytest.mark.parametrize("base", [None, "", "# Measure"])
def test_longitudinal_without_its_base_uses_its_own_head_size_and_says_so(tmp_path, base):
    write(tmp_path, "sub-01_ses-a.long.sub-01", {"stats/aseg.stats": aseg("1410000.0")})
    if base is not None:
        write(tmp_path, "sub-01", {"stats/aseg.stats": base})
    session = load(tmp_path)
    assert session.morphometry[0].etiv_mm3 == 1410000
    assert "may vary" in session.problems[-1].problem
    assert session.problems[-1].action == "used"


def test_newest_of_two_versions_is_used(tmp_path):
    for folder, version in (("freesurfer-7.3", "7.3.2"), ("freesurfer-10", "10.0.0"), ("freesurfer-8", "8.1.0")):
        path = tmp_path / "derivatives" / folder / "sub-01_ses-a" / "stats" / "aseg.stats"
        path.parent.mkdir(parents=True)
        path.write_text(aseg(version=version))
    session = load(tmp_path)
    assert [found.pipeline.version for found in session.morphometry] == ["10.0.0"]
    assert [problem.action for problem in session.problems] == ["set_aside", "set_aside"]


@pytest.mark.parametrize(
    ("stamp", "header", "version"),
    [
        ("freesurfer-linux-centos7_x86_64-7.3.2-20220804-6354275", "7.0.0", "7.3.2"),
        ("freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.0-2beb96c", "", "6.0.0"),
        ("freesurfer-linux-ubuntu22_x86_64-8.0.0-20250204-123abc", "", "8.0.0"),
        (None, "7.0.0", "7.0.0"),
        (None, "$Id: mri_segstats.c,v 1.121 2016/05/31 17:27:11 greve Exp $", "unknown"),
        (b"\xff", "7.0.0", "7.0.0"),
    ],
)
def test_version_of_the_stamp_then_of_a_header(tmp_path, stamp, header, version):
    write(tmp_path, "sub-01_ses-a", {"stats/aseg.stats": aseg(version=header)})
    if stamp is not None:
        write(tmp_path, "sub-01_ses-a", {"scripts/build-stamp.txt": stamp})
    assert load(tmp_path).morphometry[0].pipeline.version == version


def test_subfields_of_the_newest_segmentation(tmp_path):
    write(
        tmp_path,
        "sub-01_ses-a",
        {
            "stats/hipposubfields.lh.T1.v21.stats": SUBFIELDS.format(tail="1.0"),
            "stats/hipposubfields.lh.T1.v22.stats": SUBFIELDS.format(tail="2.0"),
            "stats/hipposubfields.lh.T1-T2.v22.stats": SUBFIELDS.format(tail="3.0"),
            "stats/amygdalar-nuclei.rh.T1.v22.stats": "# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n1 0 0 1700.5 Whole_amygdala\n",
            "mri/lh.hippoSfVolumes-T1.v21.txt": "Hippocampal_tail 4.0\n",
        },
    )
    found = only(load(tmp_path))
    assert found.volume_mm3 == {
        "lh.Hippocampal_tail": 2.0,
        "lh.Whole_hippocampus": 3500.25,
        "rh.Whole_amygdala": 1700.5,
    }


@pytest.mark.parametrize("version", ["v10", "v21", "long.v21"])
def test_subfields_of_old_versions(tmp_path, version):
    text = "Hippocampal_tail 412.931\npresubiculum-head 120.5\nWhole_hippocampus 3400.25\n"
    files = {
        f"mri/lh.hippoSfVolumes-T1.{version}.txt": text,
        f"mri/rh.amygNucVolumes-T1.{version}.txt": "Whole_amygdala 1500.5\n",
    }
    write(tmp_path, "sub-01_ses-a", files)
    found = only(load(tmp_path))
    assert found.volume_mm3["lh.Hippocampal_tail"] == 412.931
    assert found.volume_mm3["lh.presubiculum-head"] == 120.5
    assert found.volume_mm3["rh.Whole_amygdala"] == 1500.5


GOOD = aseg()


@pytest.mark.parametrize(
    ("content", "reason", "row"),
    [
        (b"", "empty", None),
        (b"\xff\xfe", "UTF-8", None),
        (b"nothing here\n", "ColHeaders", 1),
        (b"# only a comment\n", "no number", None),
        (GOOD[: GOOD.index("  1  17")], "cut off", None),
        (GOOD.replace("# Col", "# NRows 3\n# Col"), "2 rows of its table are there, 3 were written", None),
        (GOOD[: GOOD.rindex("8.2438")], "Expected 10 cells, got 6", 7),
        (GOOD.replace("4333.5", "-4333.5"), "negative", 7),
        (GOOD.replace("4333.5", "nan"), "got 'nan'", 7),
        (GOOD.replace("4333.5", "4,333.5"), "got '4,333.5'", 7),
        (GOOD.replace(", 1420434.160521, mm^3", ""), "not complete", 5),
        (GOOD.replace("1420434.160521", "big"), "got 'big'", 5),
    ],
)
def test_bad_stats_are_refused_and_the_others_kept(tmp_path, content, reason, row):
    write(tmp_path, "sub-01_ses-a", {"stats/aseg.stats": content, "stats/lh.aparc.stats": APARC})
    session = load(tmp_path)
    (found,) = session.morphometry
    assert "Left-Hippocampus" not in found.volume_mm3
    assert found.thickness_mm
    assert found.etiv_mm3 == 1670487.274486
    (problem,) = session.problems
    assert (problem.action, problem.row) == ("refused", row)
    assert reason in problem.problem


@pytest.mark.parametrize("text", ["Hippocampal_tail", "Hippocampal_tail big", "Hippocampal_tail -1"])
def test_bad_subfield_volumes_are_refused(tmp_path, text):
    (tmp_path / "lh.txt").write_text(f"Whole_hippocampus 3400\n{text}\n")
    with pytest.raises(RefusedError) as refusal:
        read_volumes(tmp_path, "lh.txt")
    assert refusal.value.problem.row == 2


def test_empty_freesurfer_folder_is_no_morphometry(tmp_path):
    write(tmp_path, "sub-01_ses-a", {"scripts/build-stamp.txt": "7.4.1"})
    assert load(tmp_path).morphometry == ()


@pytest.mark.real
def test_real_stats_of_version_7_exactly(real_data):
    root = real_data / "freesurfer-stats"
    stats = read_stats(root, "soichi/stats/aseg.stats")
    assert stats.version == "7.0.0"
    assert stats.measures["eTIV"] == (1420434.160521, "mm^3")
    assert stats.measures["BrainSegVol-to-eTIV"] == (0.823275, "unitless")
    lines = [line.split() for line in (root / "soichi/stats/aseg.stats").read_text().splitlines() if line[0] != "#"]
    assert {line[4]: float(line[3]) for line in lines} == {n: v["Volume_mm3"] for n, v in stats.table.items()}
    assert stats.table["Left-Hippocampus"]["Volume_mm3"] == 4333.5
    assert stats.table["Left-Hippocampus"]["SegId"] == 17
    volumes = read_stats(root, "soichi/stats/brainvol.stats", has_table=False).measures
    assert volumes["BrainSegVol"] == (1169408, "mm^3")


@pytest.mark.real
@pytest.mark.parametrize(("subject", "hemi"), [("fabian", "lh"), ("fabian", "rh"), ("soichi", "lh"), ("soichi", "rh")])
def test_real_parcellation_of_both_versions_exactly(real_data, subject, hemi):
    root = real_data / "freesurfer-stats"
    file = f"{subject}/stats/{hemi}.aparc.stats"
    stats = read_stats(root, file)
    lines = [line.split() for line in (root / file).read_text().splitlines() if line[0] != "#"]
    assert len(lines) == 34
    assert {line[0]: float(line[4]) for line in lines} == {name: v["ThickAvg"] for name, v in stats.table.items()}
    assert {line[0]: float(line[3]) for line in lines} == {name: v["GrayVol"] for name, v in stats.table.items()}


@pytest.mark.real
def test_real_folder_without_aseg_takes_head_size_from_the_cortex(real_data, tmp_path):
    source = real_data / "freesurfer-stats" / "fabian" / "stats"
    write(tmp_path, "sub-01", {f"stats/{path.name}": path.read_bytes() for path in source.iterdir()})
    found = only(load(tmp_path, ""))
    assert found.etiv_mm3 == 1670487.274486
    assert found.volume_mm3["CortexVol"] == 553998.311189  # FreeSurfer 6 forgot a comma in this line
    assert found.thickness_mm["rh.rostralanteriorcingulate"] == 2.745
    assert found.pipeline.version == "unknown"
