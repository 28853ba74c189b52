"""Values compared across people, sites and visits: z, site effects and changes, learnt once and then left alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from remanent._errors import UsageError
from remanent.circuits.harmonise import learn
from remanent.circuits.norm import learn_norm, z_values
from remanent.stages import phenotypes
from remanent.stages.changes import changes
from remanent.stages.comparable import compare
from remanent.stages.reference import current
from remanent.stages.scans import as_scans
from remanent.study.record.intake import as_table
from remanent.study.store import Record
from remanent.study.table import Table

NAMES = ("fc_default_default", "sc_density", "vol_hippocampus")


class People:
    """Controls and patients at two sites, each scanned on some days; values are drawn once a person and visit."""

    def __init__(self, seed=0, controls=30, patients=12, days=(0.0, 90.0), sites=("a", "b"), repeats=1):
        rng = np.random.default_rng(seed)
        self.people, self.rows = [], []
        for i in range(controls + patients):
            who, site = f"sub-{i:03d}", sites[i % len(sites)]
            age, healthy = float(np.round(rng.uniform(20, 75), 1)), i < controls
            self.people.append((who, age, "MF"[(i // 2) % 2], site, "control" if healthy else "mdd"))
            own = 1 + 0.3 * rng.standard_normal(len(NAMES)) - 0.004 * age + 0.3 * (site == "b")
            for v, day in enumerate(np.arange(repeats) * 7.0 if healthy else days):
                self.add(who, f"ses-{v + 1:02d}", day, own + 0.05 * rng.standard_normal(len(NAMES)))

    def add(self, who, session, day, values, **more):
        for name, value in zip(NAMES, values, strict=True):
            row = {"participant_id": who, "session_id": session, "day": day, "feature": name, "value": value}
            self.rows.append(row | {"se": 0.04, "usable": True, "reason": None} | more)

    @property
    def features(self) -> Table:
        table = as_table("features", {n: [row[n] for row in self.rows] for n in self.rows[0]})
        return replace(table, columns={**table.columns, "usable": table["usable"].astype(bool)})

    @property
    def participants(self) -> Table:
        names = ("participant_id", "age", "sex", "site", "diagnosis")
        return as_table("participants", dict(zip(names, zip(*self.people, strict=True), strict=True)))

    @property
    def scans(self):
        return as_scans(self.features, self.participants)


@pytest.fixture
def study():
    return People()


def test_z_is_the_norms_and_is_learnt_from_first_scans_of_controls_alone(study, tmp_path):
    scans = study.scans
    reference, problems = current(scans, tmp_path, learn_anew=True)
    assert problems == []
    first = scans.only(scans.control)
    norm = learn_norm(first.value, first.age, first.sex, first.site.tolist())
    expected = z_values(norm, scans.value, scans.age, scans.sex, scans.site.tolist())
    np.testing.assert_array_equal(reference.z(scans), expected)
    assert len(reference.norm_source.scans) == 30


def test_a_control_scanned_again_counts_once_in_the_norm(tmp_path):
    once, twice = People(repeats=1), People(repeats=1)
    who = "sub-000"
    twice.add(who, "ses-09", 50.0, np.array([9.0, 9.0, 9.0]))
    first, second = (current(s.scans, tmp_path / str(i), learn_anew=True)[0] for i, s in enumerate((once, twice)))
    np.testing.assert_array_equal(first.norm.intercept, second.norm.intercept)


def test_a_new_visit_of_a_patient_leaves_every_earlier_value_bit_identical(study, tmp_path):
    before = study.scans
    reference, _ = current(before, tmp_path, learn_anew=True)
    on_file = (tmp_path / "reference.json").read_bytes()
    z, harmonised = reference.z(before), reference.harmonised(before)
    study.add("sub-035", "ses-07", 400.0, np.array([5.0, 5.0, 5.0]))
    after = study.scans
    again, problems = current(after, tmp_path, learn_anew=True)
    assert problems == []
    assert (tmp_path / "reference.json").read_bytes() == on_file
    old = np.array([visit != ("sub-035", "ses-07") for visit in after.visits])
    assert again.z(after)[old].tobytes() == z.tobytes()
    for was, now in zip(harmonised, again.harmonised(after), strict=True):
        assert now[old].tobytes() == was.tobytes()


def test_a_new_control_is_learnt_from_by_a_run_and_never_by_an_update(study, tmp_path):
    current(study.scans, tmp_path, learn_anew=True)
    on_file = (tmp_path / "reference.json").read_bytes()
    study.people.append(("sub-900", 50.0, "F", "a", "control"))
    study.add("sub-900", "ses-01", 0.0, np.ones(3))
    held, problems = current(study.scans, tmp_path, learn_anew=False)
    assert [p.action for p in problems] == ["used"]
    assert "remanent run" in problems[0].problem
    assert (tmp_path / "reference.json").read_bytes() == on_file
    assert len(held.norm_source.scans) == 30
    anew, _ = current(study.scans, tmp_path, learn_anew=True)
    assert len(anew.norm_source.scans) == 31


def test_a_value_that_was_learnt_from_and_changed_is_noticed(study, tmp_path):
    current(study.scans, tmp_path, learn_anew=True)
    study.rows[0]["value"] += 1e-9
    _, problems = current(study.scans, tmp_path, learn_anew=False)
    assert len(problems) == 1


def test_without_enough_controls_there_is_no_z_and_sites_are_learnt_from_everyone(tmp_path):
    few = People(controls=4, patients=30)
    scans = few.scans
    reference, _ = current(scans, tmp_path, learn_anew=True)
    assert np.isnan(reference.z(scans)).all()
    assert reference.sites_source.people == "everyone"
    covariates = np.column_stack([scans.age, scans.sex, ~scans.control, ~scans.control & (scans.day >= 0)]).astype(
        float
    )
    expected = learn(scans.value, covariates, scans.site.tolist(), scans.who.tolist())
    np.testing.assert_array_equal(reference.sites.gamma, expected.gamma)


def test_one_site_is_never_harmonised(tmp_path):
    scans = People(sites=("a",)).scans
    reference, _ = current(scans, tmp_path, learn_anew=True)
    assert reference.sites is None
    assert np.isnan(reference.harmonised(scans)).all()
    assert np.isfinite(reference.z(scans)).all()


def test_an_unreadable_reference_is_learnt_anew(study, tmp_path):
    first, _ = current(study.scans, tmp_path, learn_anew=True)
    whole = (tmp_path / "reference.json").read_bytes()
    for broken in (b"", b"{}", whole[:500], json.dumps({"format": 99}).encode()):
        (tmp_path / "reference.json").write_bytes(broken)
        again, _ = current(study.scans, tmp_path, learn_anew=True)
        assert again.norm_source == first.norm_source
        assert (tmp_path / "reference.json").read_bytes() == whole


def test_people_of_unknown_age_or_sex_have_no_z_and_disturb_nobody(study, tmp_path):
    base = current(study.scans, tmp_path / "one", learn_anew=True)[0].z(study.scans)
    study.people.append(("sub-901", np.nan, "F", "a", "control"))
    study.people.append(("sub-902", 40.0, None, "a", "mdd"))
    for who in ("sub-901", "sub-902"):
        study.add(who, "ses-01", 0.0, np.ones(3))
    scans = study.scans
    z = current(scans, tmp_path / "two", learn_anew=True)[0].z(scans)
    known = np.array([who < "sub-900" for who in scans.who])
    np.testing.assert_array_equal(z[known], base)
    assert np.isnan(z[~known]).all()


def test_a_constant_or_sparse_feature_costs_that_feature_only(study, tmp_path):
    for row in study.rows:
        if row["feature"] == "sc_density":
            row["value"] = 0.5
    for row in [r for r in study.rows if r["feature"] == "vol_hippocampus"][5:]:
        row["usable"] = False
    reference, _ = current(study.scans, tmp_path, learn_anew=True)
    assert reference.norm_source.names == ("fc_default_default",)
    assert reference.sites_source.names == ("fc_default_default",)


@pytest.mark.parametrize("ages", [[40.0], [30.0, 60.0], [30.0, 45.0, 60.0]])
def test_controls_of_few_ages_give_a_norm(study, tmp_path, ages):
    study.people = [(who, ages[i % len(ages)], *rest) for i, (who, _, *rest) in enumerate(study.people)]
    z = current(study.scans, tmp_path, learn_anew=True)[0].z(study.scans)
    assert np.isfinite(z).all()
    assert abs(z[study.scans.control].mean()) < 0.3


def columns(study, reference=None):
    scans = study.scans
    z = np.full(scans.value.shape, np.nan) if reference is None else reference.z(scans)
    minutes, reason = np.full(len(scans), 15.0), np.full(scans.value.shape, None, dtype=object)
    found = changes(scans, z, minutes, reason)
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    return {(row["participant_id"], row["feature"]): row for row in rows}


def test_change_is_between_the_first_scan_after_ect_and_the_last():
    study = People(patients=1, days=(-20.0, 3.0, 90.0, 200.0))
    values = {r["day"]: r["value"] for r in study.rows if r["participant_id"] == "sub-030" and r["feature"] == NAMES[0]}
    row = columns(study)["sub-030", NAMES[0]]
    assert (row["from_day"], row["to_day"]) == (3.0, 200.0)
    assert row["change"] == values[200.0] - values[3.0]


def test_an_unusable_scan_is_passed_over_and_a_single_one_gives_no_change():
    study = People(patients=2, days=(3.0, 90.0, 200.0))
    for row in study.rows:
        if row["participant_id"] == "sub-030" and row["day"] == 200.0:
            row["usable"] = False
        if row["participant_id"] == "sub-031" and row["day"] > 3.0:
            row["usable"] = False
    found = columns(study)
    assert found["sub-030", NAMES[0]]["to_day"] == 90.0
    assert ("sub-031", NAMES[0]) not in found


def test_healthy_repeats_give_the_error_of_a_change(tmp_path):
    """Persons' days 0.05 and no change: 5 to 15 % of 600 changes leave the 90 % interval."""
    study = People(controls=40, patients=200, repeats=3, days=(3.0, 90.0), seed=2)
    reference, _ = current(study.scans, tmp_path, learn_anew=True)
    found = list(columns(study, reference).values())
    assert {row["basis"] for row in found} == {"repeats"}
    assert 0.05 < np.mean([row["reliable"] for row in found]) < 0.15
    assert np.std([row["z_change"] for row in found]) == pytest.approx(1, abs=0.15)
    row = found[0]
    assert row["upper"] - row["change"] == pytest.approx(1.6449 * row["se"], rel=1e-4)


def test_without_repeats_the_published_reliability_at_this_length_is_used_where_there_is_one():
    found = columns(People())
    fc, density = found["sub-031", "fc_default_default"], found["sub-031", "sc_density"]
    assert fc["basis"] == "published"
    assert (density["basis"], density["reliable"]) == ("scan_error", None)
    scans = People().scans
    _, first = np.unique(scans.who.astype(str), return_index=True)
    icc = 0.5 * 0.547 / (1 - 0.5 * 0.547)  # Spearman-Brown from 30 to 15 minutes
    within = scans.value[first, scans.names.index("fc_default_default")].std(ddof=1) * np.sqrt(1 - icc)
    assert fc["se"] == pytest.approx(np.sqrt(2) * within)
    assert density["se"] == pytest.approx(0.04 * np.sqrt(2))


@pytest.fixture
def tables(study):
    def of(study, **more):
        names = ("sessions", "pet", "eeg")
        return {"participants": study.participants} | {n: more.get(n, as_table(n, {})) for n in names}

    return of


def recorded(study, folder, made=()):
    folder.mkdir(exist_ok=True)
    with Record.open(folder) as record:
        for who, session in dict.fromkeys((r["participant_id"], r["session_id"]) for r in study.rows):
            mine = [r for r in study.rows if (r["participant_id"], r["session_id"]) == (who, session)]
            features = [type("F", (), {**r, "name": r["feature"]}) for r in mine]
            record.put_features(who, session, mine[0]["day"], features, "h", processing=made)
    return folder


def test_pet_and_eeg_rows_are_features_on_their_days(study, tables, tmp_path):
    pet = {"participant_id": ["sub-030", "sub-030"], "day": [0.0, 33.0], "measure": ["UCB-J_VT"] * 2}
    pet |= {"region": ["Hippocampus L"] * 2, "value": [17.5, 18.5]}
    sessions = {"participant_id": ["sub-030"], "session_id": ["ses-01"], "day": [0.0]}
    given = tables(study, pet=as_table("pet", pet), sessions=as_table("sessions", sessions))
    with Record.open(recorded(study, tmp_path)) as record:
        found = compare(record, given, tmp_path, learn_anew=True).features
    mine = found.select(found["feature"] == "pet_ucb_j_vt_hippocampus_l")
    assert mine["session_id"].tolist() == ["ses-01", "pet-day33"]
    assert mine["value"].tolist() == [17.5, 18.5]
    assert mine["usable"].dtype == bool
    assert mine["usable"].all()
    assert np.isnan(mine["se"]).all()


def test_rows_of_a_spectrum_become_what_it_is_made_of(study, tables, tmp_path):
    hertz = np.arange(1, 45.5, 0.5)
    eeg = {"participant_id": ["sub-030"] * len(hertz), "day": [12.5] * len(hertz), "region": ["Fz"] * len(hertz)}
    eeg |= {"measure": [f"psd_{f:g}hz" for f in hertz], "value": 10 * hertz**-1.2}
    other = {"participant_id": ["sub-030"], "day": [12.5], "measure": ["theta_power"], "region": ["Fz"], "value": [3.0]}
    both = as_table("eeg", {name: [*eeg[name], *other[name]] for name in other})
    with Record.open(recorded(study, tmp_path)) as record:
        found = compare(record, tables(study, eeg=both), tmp_path, learn_anew=True).features
    mine = found.select(np.array([name.startswith("eeg_") for name in found["feature"]], dtype=bool))
    got = dict(zip(mine["feature"], mine["value"].tolist(), strict=True))
    assert got["eeg_theta_power_fz"] == 3.0
    assert got["eeg_exponent_fz"] == pytest.approx(1.2, abs=1e-3)
    assert got["eeg_alphacorrected_fz"] == pytest.approx(0, abs=1e-3)
    assert len(got) == 6
    assert set(mine["session_id"]) == {"eeg-day12.5"}


def test_spectra_without_specparam_are_set_aside_with_one_message(study, tables, tmp_path, monkeypatch):
    def absent(*_):
        raise UsageError("specparam is not installed", do="pip install 'remanent[eeg]'")
        yield

    monkeypatch.setattr(phenotypes, "spectrum_features", absent)
    eeg = {"participant_id": ["sub-030"] * 2, "day": [1.0, 1.0], "measure": ["psd_4hz", "psd_5hz"]}
    given = tables(study, eeg=as_table("eeg", eeg | {"region": ["Fz"] * 2, "value": [1.0, 2.0]}))
    with Record.open(recorded(study, tmp_path)) as record:
        found = compare(record, given, tmp_path, learn_anew=True)
        (problem,) = record.problems()
    assert not any(name.startswith("eeg_") for name in found.features["feature"])
    assert (problem.file, problem.action) == ("phenotype/eeg.tsv", "set_aside")
    assert "remanent[eeg]" in problem.problem


def test_the_model_sees_harmonised_values_only_where_controls_taught_them(study, tables, tmp_path):
    with Record.open(recorded(study, tmp_path / "one")) as record:
        found = compare(record, tables(study), tmp_path / "one", learn_anew=True)
    np.testing.assert_array_equal(found.for_model["value"], found.features["harmonised"])
    np.testing.assert_array_equal(found.for_model["se"], found.features["harmonised_se"])
    assert (found.features["harmonised_se"] > 0.03).all()
    few = People(controls=4, patients=30)
    with Record.open(recorded(few, tmp_path / "two")) as record:
        found = compare(record, tables(few), tmp_path / "two", learn_anew=True)
    assert np.isfinite(found.features["harmonised"]).all()
    np.testing.assert_array_equal(found.for_model["value"], found.features["value"])


def test_nothing_measured_compares_nothing(tables, tmp_path):
    study = People()
    study.rows = []
    with Record.open(tmp_path) as record:
        found = compare(record, tables(study), tmp_path, learn_anew=True)
    assert len(found.features) == 0
    assert found.flags == {}
    assert found.cohort_flags == ()
    assert all(values == [] for values in found.changes.values())
