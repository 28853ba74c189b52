"""A virtual study as files: a BIDS dataset that looks like a real one, and truth.tsv beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from remanent._errors import UsageError
from remanent.study.schema import INPUT, INSTRUMENTS, instrument_spec, sidecar
from remanent.trial.cohort import Cohort, Columns, lithium_exposure
from remanent.trial.derivatives import MADE_BY, write_derivatives, write_json
from remanent.trial.people import stream
from remanent.trial.reference import reference
from remanent.trial.truth import truth
from remanent.trial.tsv import write_tsv

README = """# A virtual follow-up study after electroconvulsive therapy

Nobody in this dataset exists. It was drawn by `remanent simulate` from the equations of the Remanent model with known parameters,
mechanism `{mechanism}`, seed {seed}. What is true of it stands in truth.tsv, which no analysis reads.

`day` is days since the last session of the index ECT course.
"""
TRUTH_SIDECAR = {
    "participant_id": {"Description": "Participant, or `cohort` for what holds of all."},
    "quantity": {
        "Description": "What the row states; the names are explained in the documentation of remanent.trial.truth."
    },
    "day": {"Description": "Days since the last session of the index ECT course.", "Units": "day"},
    "horizon_days": {"Description": "How far ahead of `day` the statement looks.", "Units": "day"},
    "plan": {"Description": "Dose plan from `day` on: continue, taper or stop."},
    "value": {"Description": "The true value."},
}

RELAPSE_RULE = "Drawn from the simulated hazard, which falls with function; no rule on ratings is applied."


def write_study(cohort: Cohort, out: Path) -> None:
    """Write a virtual study into `out`, a folder that is new or empty.

    Raises
    ------
    UsageError
        `out` holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "is not an empty folder",
            where=str(out),
            why="A study is never mixed with other files",
            do="Give a new folder",
        )
    out.mkdir(parents=True, exist_ok=True)
    _write_top(cohort, out)
    _write_participants(cohort, out)
    for name, columns in _phenotype(cohort).items():
        if columns["participant_id"]:
            spec = instrument_spec(INSTRUMENTS[name]) if name in INSTRUMENTS else INPUT[name]
            write_tsv(out / "phenotype" / f"{name}.tsv", columns)
            document = _described(sidecar(spec), columns)
            if name == "events":
                document["event"]["Levels"]["relapse"] = RELAPSE_RULE
            write_json(out / "phenotype" / f"{name}.json", document)
    if cohort.spec.derivatives:
        write_derivatives(cohort, out / "derivatives")
    write_tsv(out / "truth.tsv", truth(cohort))
    write_json(out / "truth.json", TRUTH_SIDECAR)


def _write_top(cohort: Cohort, out: Path) -> None:
    mechanism = ", ".join(cohort.spec.mechanism)
    write_json(
        out / "dataset_description.json",
        {
            "Name": "Virtual follow-up study after ECT",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": "CC0",
            "Authors": ["Remanent (simulated, no real participants)"],
            "GeneratedBy": [MADE_BY],
        },
    )
    (out / "README").write_text(README.format(mechanism=mechanism, seed=cohort.spec.seed), encoding="utf-8")
    (out / ".bidsignore").write_text("phenotype/\ntruth.tsv\ntruth.json\n", encoding="utf-8")


def _write_participants(cohort: Cohort, out: Path) -> None:
    write_tsv(out / "participants.tsv", cohort.people.table)
    write_json(out / "participants.json", _described(sidecar(INPUT["participants"]), cohort.people.table))
    for i, who in enumerate(cohort.people.participant):
        mine = [scan for scan in cohort.scans if scan.patient == i]
        columns: Columns = {"session_id": [scan.session for scan in mine], "day": [scan.day for scan in mine]}
        (out / who).mkdir()
        write_tsv(out / who / f"{who}_sessions.tsv", columns)
        write_json(out / who / f"{who}_sessions.json", _described(sidecar(INPUT["sessions"]), columns))


def _described(document: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in document.items() if name in columns}


def _phenotype(cohort: Cohort) -> Mapping[str, Columns]:
    return {
        **cohort.ratings,
        "medication": _medication(cohort),
        "ect": _ect(cohort),
        "labs": _labs(cohort),
        "sleep": _sleep(cohort),
        "events": _events(cohort),
        "ema": _ema(cohort),
    }


def _long(rows: list[tuple[Any, ...]], names: tuple[str, ...]) -> Columns:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _medication(cohort: Cohort) -> Columns:
    rows = [
        (who, drug, round(dose, 2), start, stop)
        for who, history in zip(cohort.people.participant, cohort.doses, strict=True)
        for drug, dose, start, stop in zip(
            history.drug, history.dose_mg_day, history.start_day, history.stop_day, strict=True
        )
    ]
    return _long(rows, ("participant_id", "drug", "dose_mg_day", "start_day", "stop_day"))


def _ect(cohort: Cohort) -> Columns:
    rng = stream(cohort.spec, "ect")
    usual = reference()["ect"]
    rows = []
    given = zip(cohort.people.ect_days, cohort.people.later_ect, cohort.end_day, strict=True)
    sessions = [np.concatenate([index, later[later <= end]]) for index, later, end in given]
    for who, days, placement in zip(cohort.people.participant, sessions, cohort.people.placement, strict=True):
        charge = np.clip(rng.normal(usual["charge_mC"], usual["sd_charge_mC"], len(days)), 50, 1000).round(-1)
        seizure = np.clip(rng.normal(usual["seizure_s"], usual["sd_seizure_s"], len(days)), 8, 120).round()
        width = usual["pulse_width_ms"][placement]
        rows += [(who, day, placement, width, c, s) for day, c, s in zip(days, charge, seizure, strict=True)]
    return _long(rows, ("participant_id", "day", "placement", "pulse_width_ms", "charge_mC", "seizure_s"))


def _every(cohort: Cohort, i: int, gap: int) -> np.ndarray:
    """Days of patient `i` at which something is measured every `gap` days, from the first record on."""
    return np.arange(cohort.people.start_day[i], cohort.end_day[i] + 1, gap) if gap else np.empty(0)


def _labs(cohort: Cohort) -> Columns:
    rng = stream(cohort.spec, "labs")
    crp, level = reference()["stressors"]["crp_mg_l"], reference()["lithium_level"]
    rows = []
    for i, who in enumerate(cohort.people.participant):
        days = _every(cohort, i, cohort.spec.crp_every_days)
        values = cohort.stress.crp[cohort.stress.index(days), i] * np.exp(
            crp["sd_assay"] * rng.standard_normal(len(days))
        )
        rows += [(who, day, "crp", round(float(v), 2), "mg/L") for day, v in zip(days, values, strict=True)]
        lithium = (
            level["full_dose"]
            * lithium_exposure(cohort.doses[i], days)
            * np.exp(level["sd_log"] * rng.standard_normal(len(days)))
        )
        rows += [
            (who, day, "lithium", round(float(v), 2), "mmol/L") for day, v in zip(days, lithium, strict=True) if v > 0.1
        ]
    return _long(rows, ("participant_id", "day", "analyte", "value", "unit"))


def _sleep(cohort: Cohort) -> Columns:
    rng = stream(cohort.spec, "sleep records")
    assay = reference()["stressors"]["tst_h"]["sd_assay"]
    rows = []
    for i, who in enumerate(cohort.people.participant):
        days = _every(cohort, i, cohort.spec.sleep_every_days)
        values = cohort.stress.tst_h[cohort.stress.index(days), i] + assay * rng.standard_normal(len(days))
        rows += [(who, day, "tst_h", round(float(np.clip(v, 1, 14)), 2)) for day, v in zip(days, values, strict=True)]
    return _long(rows, ("participant_id", "day", "measure", "value"))


def _events(cohort: Cohort) -> Columns:
    ended = zip(cohort.people.participant, cohort.end_day, cohort.event, strict=True)
    rows = [(who, day, event, None) for who, day, event in ended if event]
    return _long(rows, ("participant_id", "day", "event", "detail"))


def _ema(cohort: Cohort) -> Columns:
    rng = stream(cohort.spec, "ema")
    mood = reference()["ema_mood"]
    rows = []
    weeks = np.add.outer([8, 92], np.arange(7)) if cohort.spec.ema else np.empty(0)
    days = np.add.outer(weeks.ravel(), [0.4, 0.5, 0.6, 0.7, 0.85]).ravel()
    for i, who in enumerate(cohort.people.participant):
        own = mood["sd_person"] * rng.standard_normal()
        mine = days[days <= cohort.end_day[i]]
        f = np.interp(mine, cohort.course.days, cohort.course.f[:, i])
        values = mood["mean"] + own + mood["l_f"] * f + mood["sd_within"] * rng.standard_normal(len(mine))
        values = np.clip(np.round(values), mood["minimum"], mood["maximum"])
        rows += [(who, day, "mood", int(v)) for day, v in zip(mine, values, strict=True)]
    return _long(rows, ("participant_id", "day", "item", "value"))
