"""The scans of a virtual study as derivatives, in the names and formats of XCP-D 26.1, QSIRecon 1.1 and FreeSurfer 7.4."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from scipy.io import savemat

from remanent.trial import brain
from remanent.trial.cohort import Cohort, Scan
from remanent.trial.people import stream
from remanent.trial.tsv import write_tsv

MADE_BY = {"Name": "remanent simulate", "Description": "Synthetic; no scanner and no pipeline was involved."}
PIPELINES = {
    "xcp_d": ("xcp_d", "26.1.1"),
    "qsirecon-MRtrix3_act-HSVS": ("qsirecon", "1.1.1"),
    "freesurfer": ("FreeSurfer", "7.4.1"),
}
BOLD = "task-rest_space-fsLR"
TEXT = pyarrow.csv.WriteOptions(delimiter="\t", quoting_style="none", quoting_header="none")
STAT_COLUMNS = "Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange"
APARC_COLUMNS = "StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd"


@dataclass(frozen=True)
class _Visit:
    """One scan visit on its way into files."""

    scan: Scan
    who: str
    sex: str
    traits: brain.Traits
    frames: int
    tr_s: float

    def stem(self, root: Path, kind: str) -> Path:
        return root / self.who / self.scan.session / kind / f"{self.who}_{self.scan.session}"


def write_derivatives(cohort: Cohort, out: Path) -> None:
    """Write xcp_d, qsirecon and freesurfer folders under `out`."""
    for folder, (name, version) in PIPELINES.items():
        generated = [{"Name": name, "Version": version, **{k: v for k, v in MADE_BY.items() if k != "Name"}}, MADE_BY]
        description = {
            "Name": f"Synthetic {name} output",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": generated,
        }
        write_json(out / folder / "dataset_description.json", description)
    xcp, qsi, fs = (out / folder for folder in PIPELINES)
    people = cohort.people
    traits = [brain.draw_traits(stream(cohort.spec, f"brain {who}")) for who in people.participant]
    for scan in cohort.scans:
        who = people.participant[scan.patient]
        visit = _Visit(
            scan,
            who,
            people.table["sex"][scan.patient],
            traits[scan.patient],
            cohort.spec.bold_frames,
            cohort.spec.bold_tr_s,
        )
        rng = stream(cohort.spec, f"scan {who} {scan.session}")
        _write_bold(rng, visit, visit.stem(xcp, "func"))
        _write_anatomy(rng, visit, fs)
        if scan.diffusion:
            _write_connectome(rng, visit, visit.stem(qsi, "dwi"))


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """JSON as people read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_bold(rng: np.random.Generator, visit: _Visit, stem: Path) -> None:
    fd = brain.framewise_displacement(rng, visit.traits, visit.frames)
    kept = fd <= brain.brain()["connectivity"]["censored_above_mm"]
    correlations = brain.network_correlations(rng, visit.traits, visit.scan.values)
    series = brain.bold_series(rng, correlations, visit.frames)[kept]
    atlas = f"{BOLD}_atlas-{brain.brain()['atlas']}"
    _write_numbers(Path(f"{stem}_{atlas}_stat-mean_timeseries.tsv"), brain.labels(), series)
    write_json(
        Path(f"{stem}_{atlas}_stat-mean_timeseries.json"),
        {"RepetitionTime": visit.tr_s, "SamplingFrequency": 1 / visit.tr_s, "Method": "mean"},
    )
    coverage = np.round(np.clip(rng.normal(0.99, 0.01, len(brain.labels())), 0.8, 1.0), 3)
    write_tsv(Path(f"{stem}_{atlas}_stat-coverage_bold.tsv"), {"Node": brain.labels(), "coverage": coverage})
    _write_motion(rng, fd, kept, stem)
    n = int(kept.sum())
    write_tsv(
        Path(f"{stem}_{BOLD}_desc-linc_qc.tsv"),
        {
            "sub": [visit.who.removeprefix("sub-")],
            "ses": [visit.scan.session.removeprefix("ses-")],
            "task": ["rest"],
            "mean_fd": [float(fd.mean())],
            "mean_fd_post_censoring": [float(fd[kept].mean())],
            "num_dummy_volumes": [0],
            "num_censored_volumes": [visit.frames - n],
            "num_retained_volumes": [n],
        },
    )


def _write_motion(rng: np.random.Generator, fd: np.ndarray, kept: np.ndarray, stem: Path) -> None:
    """Six parameters whose changes are of the size that `fd` says; both tables have the full length of the run."""
    share = rng.dirichlet(np.ones(6), len(fd)) * np.where(rng.random((len(fd), 6)) < 0.5, -1.0, 1.0)
    steps = share * fd[:, None] / np.array([1, 1, 1, 50, 50, 50])
    position = np.cumsum(steps - steps.mean(axis=0), axis=0)
    names = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement")
    _write_numbers(Path(f"{stem}_task-rest_motion.tsv"), names, np.column_stack([position, fd]), decimals=6)
    _write_numbers(Path(f"{stem}_task-rest_outliers.tsv"), ("framewise_displacement",), (~kept).astype(int)[:, None])
    threshold = {
        "Description": "Frames above the threshold (1) are censored.",
        "Threshold": brain.brain()["connectivity"]["censored_above_mm"],
    }
    write_json(Path(f"{stem}_task-rest_outliers.json"), {"framewise_displacement": threshold})


def _write_numbers(path: Path, names: tuple[str, ...], values: np.ndarray, decimals: int = 4) -> None:
    """A wide table of numbers, fast."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.ascontiguousarray(np.round(np.asarray(values, float), decimals).T)
    arrays = [pa.Array.from_buffers(pa.float64(), len(column), [None, pa.py_buffer(column)]) for column in columns]
    pyarrow.csv.write_csv(pa.Table.from_arrays(arrays, names=list(names)), path, TEXT)


def _write_connectome(rng: np.random.Generator, visit: _Visit, stem: Path) -> None:
    weights, mu = brain.connectome(rng, visit.scan.values)
    names = brain.labels()
    prefix = f"atlas_{brain.brain()['atlas']}"
    width = max(map(len, names))
    content = {
        f"{prefix}_region_ids": np.arange(1, len(names) + 1),
        f"{prefix}_region_labels": np.array([name.ljust(width) for name in names]),
        f"{prefix}_sift_radius2_count_connectivity": weights,
        "command": "remanent simulate",
    }
    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=True)
    written = buffer.getvalue()
    header = b"MATLAB 5.0 MAT-file Platform: posix, Created by: remanent simulate"
    path = Path(f"{stem}_space-ACPC_connectivity.mat")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.ljust(116) + written[116:])
    Path(f"{stem}_space-ACPC_model-sift2_mu.txt").write_text(f"{mu:.8g}\n", encoding="utf-8")


def _write_anatomy(rng: np.random.Generator, visit: _Visit, root: Path) -> None:
    one = brain.anatomy(rng, visit.traits, visit.sex, visit.scan.values)
    subject = f"{visit.who}_{visit.scan.session}"
    stats = root / subject / "stats"
    stats.mkdir(parents=True, exist_ok=True)
    etiv = (
        f"# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, {one.etiv_mm3:.6f}, mm^3"
    )
    (stats / "aseg.stats").write_text(_aseg(one, subject, etiv), encoding="utf-8")
    for h, side in enumerate(("lh", "rh")):
        (stats / f"{side}.aparc.stats").write_text(_aparc(one.aparc[h], subject, side, etiv), encoding="utf-8")


def _header(title: str, program: str, subject: str, *lines: str) -> list[str]:
    return [
        f"# {title} ",
        "# ",
        f"# generating_program {program}",
        "# cvs_version 7.4.1",
        "# sysname  Linux",
        f"# subjectname {subject}",
        *lines,
    ]


def _aseg(one: brain.Anatomy, subject: str, etiv: str) -> str:
    lines = _header("Title Segmentation Statistics", "mri_segstats", subject, "# anatomy_type volume", etiv)
    rows = brain.brain()["anatomy"]["aseg"].items()
    lines += [f"# NRows {len(rows)} ", "# NTableCols 10 ", f"# ColHeaders  {STAT_COLUMNS}  "]
    for i, ((segment, (name, _)), volume) in enumerate(zip(rows, one.aseg, strict=True), start=1):
        lines.append(
            f"{i:3d} {segment:3d}  {round(volume):8d} {volume:10.1f}  {name:<30} {75:10.4f} {9:10.4f} {25:10.4f} {120:10.4f} {95:10.4f} "
        )
    return "\n".join(lines) + "\n"


def _aparc(rows: np.ndarray, subject: str, side: str, etiv: str) -> str:
    mean = float(np.average(rows[:, 2], weights=rows[:, 0]))
    lines = _header("Table of FreeSurfer cortical parcellation anatomical statistics", "mris_anatomical_stats", subject)
    lines += ["# anatomy_type surface", f"# hemi {side}", f"# AnnotationFile ../label/{side}.aparc.annot"]
    lines += [
        f"# Measure Cortex, MeanThickness, Mean Thickness, {mean:.5f}, mm",
        etiv,
        "# NTableCols 10",
        f"# ColHeaders {APARC_COLUMNS}",
    ]
    for name, (area, volume, thickness) in zip(brain.brain()["anatomy"]["aparc"], rows, strict=True):
        shape = f"{0.55:5.3f} {0.13:9.3f} {0.03:9.3f} {round(area / 80):8d} {area / 700:7.1f}"
        lines.append(f"{name:<40} {round(area * 1.45):5d} {round(area):6d} {round(volume):6d} {thickness:6.3f} {shape}")
    return "\n".join(lines) + "\n"
