"""The virtual study as files: valid BIDS, as real programs would have written it, and carrying the truth that was put in."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from remanent._errors import InputError, UsageError
from remanent.circuits.measure import measure
from remanent.study.bids import load_session, read_study
from remanent.study.schema import INPUT, INSTRUMENTS
from remanent.trial import brain
from remanent.trial.cohort import Cohort, Scan, simulate
from remanent.trial.spec import demo_spec
from remanent.trial.truth import read_truth
from remanent.trial.tsv import read_tsv, write_tsv
from remanent.trial.write import write_study

VALIDATOR = Path(__file__).parents[2] / ".venv" / "bin" / "bids-validator-deno"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Path]:
    cohort = simulate(demo_spec(n_patients=6, ema=True, truth_paths=50))
    out = tmp_path_factory.mktemp("virtual") / "study"
    write_study(cohort, out)
    return cohort, out


def stem(cohort: Cohort, scan: Scan) -> str:
    return f"{cohort.people.participant[scan.patient]}_{scan.session}"


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def numbers(path: Path) -> tuple[list[str], np.ndarray]:
    header, *lines = path.read_text().splitlines()
    return header.split("\t"), np.loadtxt(lines, delimiter="\t", ndmin=2)


def test_the_bids_validator_accepts_it(study: tuple[Cohort, Path]) -> None:
    executable = str(VALIDATOR) if VALIDATOR.exists() else shutil.which("bids-validator-deno")
    if executable is None:
        pytest.skip("BIDS VALIDATOR ABSENT: nothing was checked against the standard")
    done = subprocess.run([executable, "--json", str(study[1])], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert done.returncode == 0


def test_every_table_keeps_to_the_schema(study: tuple[Cohort, Path]) -> None:
    _, out = study
    for path in (out / "phenotype").glob("*.tsv"):
        columns, sidecar = read_tsv(path), json.loads(path.with_suffix(".json").read_text())
        assert set(sidecar) == set(columns)
        names = {"participant_id", "day", "total"} if path.stem in INSTRUMENTS else set(INPUT[path.stem].column)
        assert set(columns) == names
        limits = {"total": INSTRUMENTS[path.stem]} if path.stem in INSTRUMENTS else INPUT[path.stem].column
        for name, column in limits.items():
            values = (
                np.array([float(v) for v in columns[name] if v != "n/a"]) if name in numeric(columns) else np.empty(0)
            )
            assert column.minimum is None or (values >= column.minimum).all()
            assert column.maximum is None or (values <= column.maximum).all()
    assert {path.stem for path in (out / "phenotype").glob("*.tsv")} == {
        "hdrs24",
        "madrs",
        "medication",
        "ect",
        "labs",
        "sleep",
        "events",
        "ema",
    }


def numeric(columns: Mapping[str, list[str]]) -> set[str]:
    return {
        name
        for name, cells in columns.items()
        if all(c == "n/a" or c.lstrip("-").replace(".", "").isdigit() for c in cells)
    }


def test_the_record_ends_where_the_truth_says(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    truth = read_truth(out)
    events = read_tsv(out / "phenotype" / "events.tsv")
    for who, day, event in zip(events["participant_id"], events["day"], events["event"], strict=True):
        assert truth[who, "today", None, None, None] == float(day)
        assert truth[who, "event", None, None, None] == event
    latest = dict.fromkeys(cohort.people.participant, 0.0)
    for name in ("hdrs24", "labs", "sleep", "events", "ema", "ect"):
        table = read_tsv(out / "phenotype" / f"{name}.tsv")
        for who, day in zip(table["participant_id"], table["day"], strict=True):
            latest[who] = max(latest[who], float(day))
    assert latest == {who: truth[who, "today", None, None, None] for who in latest}


def test_truth_comes_back_as_it_was(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    truth = read_truth(out)
    who, i = cohort.people.participant[2], 2
    k = np.searchsorted(cohort.course.days, 7.0)
    assert truth[who, "function", 7.0, None, None] == pytest.approx(cohort.course.f[k, i], rel=1e-5)
    assert truth[who, "p", None, None, None] == pytest.approx(cohort.person.p[i], rel=1e-5)
    assert truth["cohort", "mechanism.dual", None, None, None] == 1.0
    assert truth["cohort", "params.b.crp", None, None, None] == pytest.approx(0.1)
    assert truth["cohort", "params.l_f.hdrs24", None, None, None] == -19
    assert truth[who, "arm", None, None, None] == cohort.people.arm[i]
    at_risk = {key[0] for key in truth if key[1] == "relapse"}
    assert at_risk == {
        w for w, event in zip(cohort.people.participant, cohort.event, strict=True) if event != "relapse"
    }
    assert {key[3] for key in truth if key[1] == "hold"} == {28, 91, 182, 364}
    with pytest.raises(InputError, match="truth"):
        read_truth(out / "phenotype")


def test_medication_and_ect_are_those_of_the_cohort(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    medication, ect = (read_tsv(out / "phenotype" / f"{name}.tsv") for name in ("medication", "ect"))
    for i, who in enumerate(cohort.people.participant):
        rows = [k for k, one in enumerate(medication["participant_id"]) if one == who]
        stops = [np.inf if medication["stop_day"][k] == "n/a" else float(medication["stop_day"][k]) for k in rows]
        np.testing.assert_array_equal(stops, cohort.doses[i].stop_day)
        doses = [float(medication["dose_mg_day"][k]) for k in rows]
        np.testing.assert_allclose(doses, cohort.doses[i].dose_mg_day, atol=0.006)
        days = [float(day) for one, day in zip(ect["participant_id"], ect["day"], strict=True) if one == who]
        np.testing.assert_array_equal(days, cohort.people.ect_days[i])


def test_bold_has_the_connectivity_that_was_put_in(study: tuple[Cohort, Path]) -> None:
    """Network means over all scans of the difference between file and truth: no bias, and spread as sampling allows."""
    cohort, out = study
    network = (
        np.array(["Default" in name for name in brain.labels()]),
        np.array(["_Cont_" in name for name in brain.labels()]),
    )
    errors = []
    for scan in cohort.scans:
        names, series = numbers(only(out / "derivatives" / "xcp_d", f"{stem(cohort, scan)}_*_stat-mean_timeseries.tsv"))
        assert tuple(names) == brain.labels()
        z = np.arctanh(np.corrcoef(series.T) - np.eye(len(names)))
        within = z[np.ix_(network[0], network[0])][np.triu_indices(network[0].sum(), 1)].mean()
        across = z[np.ix_(network[0], network[1])].mean()
        errors.append([within - scan.values["fc_default_default"], across - scan.values["fc_cont_default"]])
    spread = np.std(errors, axis=0)
    assert (np.abs(np.mean(errors, axis=0)) < 4 * spread / np.sqrt(len(errors)) + 0.005).all()
    assert (spread < 0.09).all()


def test_frames_add_up_across_the_files_of_a_run(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    censored = 0
    for scan in cohort.scans:
        mine = f"{stem(cohort, scan)}_*"
        xcp = out / "derivatives" / "xcp_d"
        _, series = numbers(only(xcp, f"{mine}_timeseries.tsv"))
        _, outliers = numbers(only(xcp, f"{mine}_outliers.tsv"))
        names, motion = numbers(only(xcp, f"{mine}_motion.tsv"))
        quality = read_tsv(only(xcp, f"{mine}_desc-linc_qc.tsv"))
        fd = motion[:, names.index("framewise_displacement")]
        assert len(outliers) == len(motion) == cohort.spec.bold_frames
        assert len(series) == (outliers == 0).sum() == int(quality["num_retained_volumes"][0])
        np.testing.assert_array_equal(outliers[:, 0] == 1, fd > 0.3)
        censored += int(outliers.sum())
    assert censored > 0


def test_reported_motion_is_powers_displacement_of_the_parameters(study: tuple[Cohort, Path]) -> None:
    """FD_t = sum |d trans| + 50 mm sum |d rot| (Power 2012, 10.1016/j.neuroimage.2011.10.018)."""
    path = min((study[1] / "derivatives" / "xcp_d").rglob("*_motion.tsv"))
    names, motion = numbers(path)
    moved = np.abs(np.diff(motion[:, :6], axis=0)) @ np.array([1, 1, 1, 50, 50, 50])
    drift = np.abs(moved - motion[1:, names.index("framewise_displacement")])
    assert np.median(drift) < 0.03


def test_connectomes_compare_only_with_mu_and_then_carry_structure(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    edges, expected, scales = [], [], []
    for scan in (one for one in cohort.scans if one.diffusion):
        folder = out / "derivatives" / "qsirecon-MRtrix3_act-HSVS"
        content = loadmat(only(folder, f"{stem(cohort, scan)}_space-ACPC_connectivity.mat"))
        mu = float(only(folder, f"{stem(cohort, scan)}_*_mu.txt").read_text())
        weights = content["atlas_4S156Parcels_sift_radius2_count_connectivity"]
        assert [str(label).strip() for label in content["atlas_4S156Parcels_region_labels"]] == list(brain.labels())
        np.testing.assert_array_equal(weights, weights.T)
        edges.append(np.log(weights[brain.frontolimbic()] * mu).mean())
        expected.append(scan.values["sc_strength_frontolimbic"])
        scales.append(mu)
    assert np.corrcoef(edges, expected)[0, 1] > 0.999
    assert np.polyfit(expected, edges, 1)[0] == pytest.approx(1.0, abs=0.05)
    assert np.std(np.log(scales)) > 0.05


def test_missing_diffusion_leaves_the_session_and_drops_the_connectome(tmp_path: Path) -> None:
    cohort = simulate(demo_spec(n_patients=2, dwi_missing=1.0, truth_paths=2, bold_frames=60))
    write_study(cohort, tmp_path)
    assert cohort.scans
    assert not list(tmp_path.rglob("*.mat"))


def test_freesurfer_tables_have_the_columns_they_announce(study: tuple[Cohort, Path]) -> None:
    cohort, out = study
    volume = {}
    for scan in cohort.scans:
        stats = out / "derivatives" / "freesurfer" / stem(cohort, scan) / "stats"
        rows = parse_stats(stats / "aseg.stats")
        volume[scan.patient, scan.session] = float(rows["Left-Hippocampus"]["Volume_mm3"])
        assert rows["Left-Hippocampus"]["SegId"] == "17"
        expected = 3800 * np.exp(scan.values["vol_hippocampus_left"])
        assert volume[scan.patient, scan.session] == pytest.approx(expected, abs=0.06)
        for side in ("lh", "rh"):
            cortex = parse_stats(stats / f"{side}.aparc.stats")
            assert len(cortex) == 34
            assert 1.5 < float(cortex["rostralanteriorcingulate"]["ThickAvg"]) < 4


def parse_stats(path: Path) -> dict[str, dict[str, str]]:
    lines = path.read_text().splitlines()
    names = next(line for line in lines if line.startswith("# ColHeaders")).split()[2:]
    rows = [dict(zip(names, line.split(), strict=True)) for line in lines if not line.startswith("#")]
    return {row["StructName"]: row for row in rows}


def test_volumes_follow_the_trace_of_ect_and_not_recovery() -> None:
    cohort = simulate(
        demo_spec(
            n_patients=150, params={"sigma": {"vol_hippocampus_left": 0.001}}, enrolment_days=0, dropout_per_day=0
        )
    )
    within = {name: [] for name in ("volume", "trace", "function")}
    for i in range(150):
        mine = [scan for scan in cohort.scans if scan.patient == i and scan.day >= 0]
        if len(mine) < 2:
            continue
        k = np.searchsorted(cohort.course.days, [scan.day for scan in mine])
        values = {
            "volume": [s.values["vol_hippocampus_left"] for s in mine],
            "trace": cohort.course.e[k, i],
            "function": cohort.course.f[k, i],
        }
        for name, x in values.items():
            within[name] += list(np.array(x) - np.mean(x))
    loading, on_function = np.linalg.lstsq(
        np.column_stack([within["trace"], within["function"]]), within["volume"], rcond=None
    )[0]
    assert loading == pytest.approx(0.027, abs=0.001)
    assert on_function == pytest.approx(0.0, abs=0.001)


def test_two_writes_of_one_study_are_the_same_bytes(study: tuple[Cohort, Path], tmp_path: Path) -> None:
    write_study(simulate(study[0].spec), tmp_path)
    first = {path.relative_to(study[1]): path.read_bytes() for path in study[1].rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first == again


def test_a_folder_that_holds_something_is_left_alone(study: tuple[Cohort, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_study(study[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_cells_are_written_as_bids_wants_them(tmp_path: Path) -> None:
    write_tsv(
        tmp_path / "t.tsv", {"a": [1.0, float("nan"), None, 0.1234567], "b": ["x", np.float64(-np.inf), 3, np.int64(4)]}
    )
    assert (tmp_path / "t.tsv").read_text() == "a\tb\n1\tx\nn/a\tn/a\nn/a\t3\n0.123457\t4\n"


def test_labels_are_the_atlass_own() -> None:
    names = brain.labels()
    assert len(set(names)) == len(names) == 156
    counts = {
        net: sum(f"H_{net}_" in name for name in names)
        for net in ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
    }
    assert counts == {
        "Vis": 17,
        "SomMot": 14,
        "DorsAttn": 15,
        "SalVentAttn": 12,
        "Limbic": 5,
        "Cont": 13,
        "Default": 24,
    }


@pytest.mark.real
def test_labels_are_in_the_order_of_the_published_atlas(real_data: Path) -> None:
    table = read_tsv(only(real_data / "atlas-4S", "*scale-156*.tsv"))
    assert list(brain.labels()) == table["name"]


def test_what_the_readers_and_circuits_find_is_what_was_put_in(study: tuple[Cohort, Path]) -> None:
    """The whole way: files, readers, features; against the scan's own values, within the errors the features state."""
    cohort, out = study
    read = read_study(out)
    assert read.problems == ()
    sessions = {(files.participant_id, files.session_id): files for files in read.sessions}
    assert len(sessions) == len(cohort.scans)
    errors = []
    for scan in cohort.scans[:4]:
        data = load_session(out, sessions[cohort.people.participant[scan.patient], scan.session])
        assert data.problems == ()
        found = {one.name: one for one in measure(data)}
        volume = (
            3800 * np.exp(scan.values["vol_hippocampus_left"]) + 3950 * np.exp(scan.values["vol_hippocampus_right"])
        ) / 2
        assert found["vol_hippocampus"].value == pytest.approx(volume, abs=0.1)
        assert ("sc_strength_frontolimbic" in found) == scan.diffusion
        for name in ("fc_default_default", "fc_cont_default", "fc_cont_cont"):
            assert found[name].usable
            errors.append((found[name].value - scan.values[name]) / found[name].se)
    assert np.abs(errors).max() < 4.5
    assert 0.5 < np.std(errors) < 1.6
