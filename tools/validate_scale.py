"""Does the participant level scale? Write N sessions of 456 parcels and 600 volumes, measure them with one worker and with two.

usage: python tools/validate_scale.py [SESSIONS]     prints a table of docs/validation/circuits.md

Sessions are hard links to eight different ones, so reading from a cold disk is not part of it. Run it on an idle machine:
the load is printed. Memory: the largest resident memory, from /proc (Linux).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import savemat

from remanent.study.store import Record

NETWORKS = {"Vis": 61, "SomMot": 77, "DorsAttn": 46, "SalVentAttn": 47, "Limbic": 26, "Cont": 52, "Default": 91}
LABELS = [f"LH_{name}_{i}" for name, n in NETWORKS.items() for i in range(1, n + 1)]
LABELS += [f"Cerebellar_Region{i}" for i in range(1, 57)]
FRAMES, DISTINCT, MEASURES = 600, 8, ("sift_radius2_count", "radius2_meanlength")
MAKERS = {"xcp_d": ("xcp_d", "26.1.1"), "qsirecon-MRtrix3_act-HSVS": ("qsirecon", "1.1.1")}
SERIES = "derivatives/xcp_d/{who}/ses-01/func/{who}_ses-01_task-rest_space-fsLR_atlas-4S456Parcels_stat-mean_timeseries"
CONNECTOME = "derivatives/qsirecon-MRtrix3_act-HSVS/{who}/ses-01/dwi/{who}_ses-01_space-ACPC_connectivity.mat"


def write_study(root: Path, sessions: int) -> None:
    """One session each of so many participants."""
    people = [f"sub-{i:04d}" for i in range(sessions)]
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "scale", "BIDSVersion": "1.10.0"}))
    (root / "participants.tsv").write_text("participant_id\n" + "\n".join(people) + "\n")
    for i, who in enumerate(people):
        (root / who).mkdir()
        (root / who / f"{who}_sessions.tsv").write_text("session_id\tday\nses-01\t30\n")
        names = [f"{SERIES}.tsv", f"{SERIES}.json", CONNECTOME]
        here, first = ([root / name.format(who=one) for name in names] for one in (who, people[i % DISTINCT]))
        for path in here:
            path.parent.mkdir(parents=True, exist_ok=True)
        if i < DISTINCT:
            _write_session(np.random.default_rng(i), *here)
        else:
            for path, known in zip(here, first, strict=True):
                os.link(known, path)
    for folder, (name, version) in MAKERS.items():
        made = {"GeneratedBy": [{"Name": name, "Version": version}]}
        (root / "derivatives" / folder / "dataset_description.json").write_text(json.dumps(made))


def _write_session(rng: np.random.Generator, series: Path, sidecar: Path, connectome: Path) -> None:
    n = len(LABELS)
    x = rng.standard_normal((FRAMES, 20)) @ rng.standard_normal((20, n)) + 2 * rng.standard_normal((FRAMES, n))
    np.savetxt(series, x, fmt="%.6f", delimiter="\t", header="\t".join(LABELS), comments="")
    sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))
    weight = np.triu(np.exp(2 * rng.standard_normal((n, n))) * (rng.random((n, n)) < 0.6), 1)
    length = np.triu(rng.uniform(10, 150, (n, n)), 1)
    content = {f"atlas_4S456Parcels_{m}_connectivity": w + w.T for m, w in zip(MEASURES, (weight, length), strict=True)}
    savemat(connectome, {"atlas_4S456Parcels_region_labels": np.array(LABELS), **content}, do_compression=True)


def measured(study: Path, out: Path, workers: int) -> tuple[float, float, float, float]:
    """Wall time and processor time (s), largest memory (MB) of the main process and of a worker, of the participant level."""
    command = ["-m", "remanent", "run", str(study), str(out), "participant", "--workers", str(workers)]
    before, start = _spent(), time.monotonic()
    peaks: dict[int, float] = {}
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            peaks |= {pid: peak for pid in _family(run.pid) if (peak := _peak_mb(pid))}
            time.sleep(0.2)
    if run.returncode:
        raise SystemExit(f"the run ended with exit code {run.returncode}")
    own = peaks.pop(run.pid)
    return time.monotonic() - start, _spent() - before, own, max(peaks.values(), default=0.0)


def _family(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _peak_mb(pid: int) -> float:
    """Largest resident memory so far; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def same_features(outs: Sequence[Path]) -> bool:
    """Whether two records hold the same features to the last bit, and the same problems."""
    found = []
    for out in outs:
        with Record.open(out) as record:
            table, problems = record.features(), record.problems()
        found.append(
            ([(n, v.tobytes() if v.dtype != object else v.tolist()) for n, v in table.columns.items()], problems)
        )
    return found[0] == found[1]


def main() -> None:
    """Print one line a number of workers."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_study(root / "study", sessions)
        rows = {workers: measured(root / "study", root / str(workers), workers) for workers in (1, 2)}
        same = same_features([root / "1", root / "2"])
    print(f"{sessions} sessions; load {os.getloadavg()[1]:.1f} on {os.cpu_count()} processors\n")
    print(
        "| workers | wall (s) | sessions a second | processor (s) | main process (MB) | worker (MB) | times as fast |"
    )
    print("|---|---|---|---|---|---|---|")
    for workers, (wall, spent, own, worker) in rows.items():
        speed, ratio = sessions / wall, rows[1][0] / wall
        print(f"| {workers} | {wall:.0f} | {speed:.2f} | {spent:.0f} | {own:.0f} | {worker:.0f} | {ratio:.2f} |")
    print(f"\nfeatures and problems of both runs {'are the same to the last bit' if same else 'DIFFER'}")


if __name__ == "__main__":
    main()
