"""The schema says what the contract says; its sidecars are valid BIDS; its documentation is current."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from remanent.study import schema
from remanent.study.schema import INPUT, INSTRUMENTS, OUTPUT, instrument_spec, sidecar, spellings

REPOSITORY = Path(__file__).parents[2]

CONTRACT_IN = {
    "participants": "participant_id age sex site diagnosis education_years premorbid_iq prs_mdd",
    "sessions": "participant_id session_id day",
    "symptoms": "participant_id day instrument value direction minimum maximum",
    "medication": "participant_id drug dose_mg_day start_day stop_day",
    "ect": "participant_id day placement pulse_width_ms charge_mC seizure_s",
    "labs": "participant_id day analyte value unit",
    "sleep": "participant_id day measure value",
    "events": "participant_id day event detail",
    "ema": "participant_id day item value",
    "pet": "participant_id day measure region value",
    "eeg": "participant_id day measure region value",
}
CONTRACT_OUT = {
    "problems": "file row column problem action",
    "features": "participant_id session_id day feature value se z usable reason",
    "states": "participant_id day function_mean function_sd structure_mean structure_sd withdrawal_mean",
    "mechanisms": "participant_id mechanism probability log_evidence identifiable",
    "remanence": "participant_id day horizon_days remanence_mean remanence_lower remanence_upper hold_mean hold_lower hold_upper",
    "forecasts": "participant_id plan day horizon_days relapse_mean relapse_lower relapse_upper",
    "plans": "participant_id day advice reasons missing",
}


@pytest.mark.parametrize(("section", "contract"), [(INPUT, CONTRACT_IN), (OUTPUT, CONTRACT_OUT)], ids=["in", "out"])
def test_tables_and_columns_are_those_of_the_contract(section, contract):
    """Additions are free; what the contract names stands first, in its order."""
    assert list(section)[: len(contract)] == list(contract)
    for name, columns in contract.items():
        assert [column.name for column in section[name].columns][: len(columns.split())] == columns.split(), name


def test_every_column_is_explained():
    for spec in (*INPUT.values(), *OUTPUT.values()):
        assert spec.meaning.endswith(".")
        assert set(spec.key) <= set(spec.column)
        for column in spec.columns:
            where = (spec.name, column.name)
            assert column.kind in ("text", "number", "integer", "boolean", "level"), where
            assert column.label, where
            assert column.meaning[0].isupper() or column.meaning[0] == "z", where
            assert column.meaning.endswith("."), where
            assert bool(column.levels) == (column.kind == "level"), where


def test_instruments_are_coherent():
    for name, instrument in INSTRUMENTS.items():
        assert instrument.minimum < instrument.maximum, name
        assert instrument.status in ("published", "derived", "assumed"), name
        assert instrument.read in ("table", "abstract", "quoted", "recalled"), name
        assert instrument.source, name
        if instrument.remission is not None and instrument.severe is not None:
            assert instrument.minimum <= instrument.remission < instrument.severe <= instrument.maximum, name


def test_hamilton_cut_offs_agree_with_the_qids_conversion_table():
    """Rush 2003, table of equivalents: a QIDS of 5 is an HDRS-17 of 7 and an HDRS-21 of 7 to 8; 27 is the top of each scale."""
    assert INSTRUMENTS["qids_sr"].remission == 5
    assert INSTRUMENTS["hdrs17"].remission == 7
    assert INSTRUMENTS["hdrs21"].remission in (7, 8)
    assert [INSTRUMENTS[name].maximum for name in ("qids_sr", "hdrs17", "hdrs21", "hdrs24")] == [27, 52, 64, 75]


def test_spellings_lead_to_one_name_each():
    for kind in ("instrument", "analyte", "sleep_measure", "diagnosis", "placement", "event", "sex"):
        known = spellings(kind)
        assert all(spelling == spelling.casefold() for spelling in known)
        assert all(known[name.casefold()] == name for name in known.values())
    names = [s for i in INSTRUMENTS.values() for s in (*i.synonyms, i.name)]
    assert len(names) == len(set(names))


def test_import_needs_no_array_library():
    code = "import sys, remanent.study.schema as s; s.INPUT['ect']; print([m for m in ('numpy', 'scipy', 'jax', 'pyarrow') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_documentation_is_current():
    text = runpy.run_path(str(REPOSITORY / "tools" / "write_formats.py"))["text"]()
    assert (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8") == text, "run tools/write_formats.py"
    assert not re.search(r"\bNone\b", text)


def test_sidecars_say_direction_and_limits():
    described = sidecar(instrument_spec(INSTRUMENTS["moca"]))["total"]
    assert (described["Direction"], described["Minimum"], described["Maximum"]) == ("higher_is_better", 0, 30)
    assert "Direction" not in sidecar(OUTPUT["states"])["function_mean"]
    assert sidecar(OUTPUT["mechanisms"])["identifiable"]["Levels"] == {"true": "yes", "false": "no"}


def _example(column: schema.Column) -> str:
    if column.name == "participant_id":
        return "sub-01"
    if column.kind == "number":
        return f"{column.maximum or 0:g}"
    return next(iter(column.levels), "a")


def write_study(root: Path) -> None:
    """One row of everything, each table with its sidecar."""
    specs = [spec for name, spec in INPUT.items() if name not in ("sessions", "symptoms")]
    (root / "phenotype").mkdir(parents=True)
    (root / "sub-01").mkdir()
    for spec in (*specs, *map(instrument_spec, INSTRUMENTS.values())):
        cells = [_example(column) for column in spec.columns]
        content = "\t".join(c.name for c in spec.columns) + "\n" + "\t".join(cells) + "\n"
        (root / spec.path).write_text(content)
        (root / spec.path).with_suffix(".json").write_text(json.dumps(sidecar(spec)))
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tday\nses-1\t0\n")
    sessions = {name: entry for name, entry in sidecar(INPUT["sessions"]).items() if name != "participant_id"}
    (root / "sub-01" / "sub-01_sessions.json").write_text(json.dumps(sessions))
    description = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0", "Authors": ["a"]}
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "README").write_text("A study with one row of everything, to see that the sidecars are valid BIDS. " * 3)


def test_sidecars_pass_the_bids_validator(tmp_path):
    """Without .bidsignore: one row per participant, as BIDS wants it, so that every sidecar is looked at."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    assert validator.exists() or shutil.which("bids-validator-deno")
    write_study(tmp_path / "study")
    command = [str(validator), "--format", "json", str(tmp_path / "study")]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    issues = answer["issues"]["issues"]
    assert [(i["code"], i.get("subCode"), i.get("location")) for i in issues if i["severity"] == "error"] == []
    about_columns = [i for i in issues if "COLUMN" in i["code"] or "SIDECAR" in i["code"] or "TSV" in i["code"]]
    assert about_columns == []


def test_levels_are_what_the_contract_says():
    assert list(schema.PLACEMENTS) == ["RUL", "BT", "BF", "LART"]
    assert list(schema.EVENTS) == ["relapse", "dropout", "hospitalised", "death", "end_of_followup"]
    assert list(OUTPUT["mechanisms"].column["mechanism"].levels) == ["natural", "passive", "active", "dual"]
    assert list(OUTPUT["plans"].column["advice"].levels) == ["taper", "hold", "treat_first", "act", "not_enough_data"]
    assert list(OUTPUT["problems"].column["action"].levels) == ["used", "set_aside", "refused"]
