"""A folder of results in a second: views of made-up patients, and a record of a small written study. No model was run."""

import importlib.util
from pathlib import Path
from types import ModuleType

from written import write_tables

from remanent.report.saved import to_json
from remanent.stages.measure import read
from remanent.stages.publish import view_name
from remanent.study.outputs import claim
from remanent.study.store import Record


def report_views() -> ModuleType:
    """Made-up views of the report's tests."""
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_views", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_light(folder: Path, patients: int = 6) -> Path:
    """OUT of a made-up cohort."""
    made, out = report_views(), folder / "out"
    cohort = made.cohort(patients)
    people = [row.participant_id for row in cohort.rows]
    study = write_tables(folder / "study", people)
    claim(out, study)
    with Record.open(out) as record:
        record.ingest(read(study))
    (out / "views").mkdir()
    (out / view_name("cohort")).write_bytes(to_json(cohort))
    for i, who in enumerate(people):
        view = made.bare_patient(who) if i % 5 == 4 else made.rich_patient(who, seed=i)
        (out / view_name(who)).write_bytes(to_json(view))
    return out
