"""OUT on disk: a BIDS derivative dataset of tables, each with its sidecar. The same input gives the same bytes.

Numbers are written with eight significant digits (`features.parquet` holds them exactly), booleans as ``true`` and
``false``, missing values as ``n/a``. A text cell that a spreadsheet would run as a formula (first character = + - @) gets
an apostrophe before it, tabs and line ends become blanks.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np

from remanent import __version__
from remanent._errors import InputError, UsageError
from remanent.study import schema
from remanent.study.record.files import parquet, write_whole

NAME = "Remanent"
BIDS_VERSION = "1.10.0"
CHOOSE = "Choose a new or empty folder for OUT."

_OURS = (
    "*.sqlite*",
    "*.parquet",
    "*.html",
    "tripod.md",
    "population.json",
    "reference.json",
    "idp",
    "idp/",
    "draws",
    "draws/",
    "views",
    "views/",
    ".*.tmp",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def claim(out: Path, study: Path) -> None:
    """Make OUT ready to be written, or say why it cannot be: the first thing a run does.

    Raises
    ------
    InputError
        OUT is a file, holds something else, is the study or lies in it (other than as ``derivatives/<name>``), or cannot
        be written.
    """
    here, there = out.resolve(), study.resolve()
    if here == there or here in there.parents:
        raise InputError("OUT would hold the study itself", where=str(out), do=CHOOSE)
    if there in here.parents and here.parent != there / "derivatives":
        why = "Results inside a study would be read as part of it."
        raise InputError("OUT lies in the study", where=str(out), why=why, do="Use STUDY/derivatives/remanent.")
    if out.exists() and not out.is_dir():
        raise InputError("OUT is a file", where=str(out), do=CHOOSE)
    if out.is_dir() and any(not p.name.startswith(".") for p in out.iterdir()) and not is_ours(out):
        raise InputError("OUT holds something else", where=str(out), why="Nothing is overwritten.", do=CHOOSE)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.rglob(".*.tmp"):  # of a run that was killed while it wrote
            stale.unlink()
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=str(out), do=CHOOSE) from error
    if not is_ours(out):
        _write_json(out / "dataset_description.json", describe(out, study, {}, {}))
    write_whole(out / ".bidsignore", _ignored(schema.OUTPUT).encode())


def is_ours(out: Path) -> bool:
    """Whether a folder holds results of this program."""
    try:
        found = json.loads((out / "dataset_description.json").read_bytes())
        return found["DatasetType"] == "derivative" and found["GeneratedBy"][0]["Name"] == NAME
    except (OSError, ValueError, LookupError, TypeError):
        return False


def describe(out: Path, study: Path, source: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """dataset_description.json of OUT.

    Parameters
    ----------
    source
        The study's own dataset_description.json.
    parameters
        What the results depend on: seed, snapshot of the record, head of the audit, settings. Kept under ``Remanent``.

    Notes
    -----
    Source: BIDS 1.10, derived datasets. The study is named by its DOI, or else by its place relative to OUT: an absolute
    path would tell who ran this, and where.
    """
    place = Path(relpath(study.resolve(), out.resolve())).as_posix()
    origin = {"DOI": source["DatasetDOI"]} if source.get("DatasetDOI") else {"URL": place}
    title = f"{NAME}: {source['Name']}" if source.get("Name") else f"{NAME} results"
    return {
        "Name": title,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": NAME, "Version": __version__, "Description": "Research use only."}],
        "SourceDatasets": [origin],
        NAME: dict(parameters),
    }


def write_outputs(
    out: Path,
    tables: Mapping[str, Mapping[str, Any]],
    *,
    description: Mapping[str, Any],
    spec: Mapping[str, schema.TableSpec] = schema.OUTPUT,
) -> list[Path]:
    """Write results, each file whole or not at all, and dataset_description.json last.

    Parameters
    ----------
    tables
        Columns [row] by table and column name; a column that may be missing may be left out.
    description
        From `describe`.

    Returns
    -------
    list of Path
        The files that hold results, for `Record.put_files`.

    Raises
    ------
    UsageError
        A table, column or level that the schema does not have; a required value that is missing.
    InputError
        A file cannot be written.
    """
    content = {spec[name].path: table_bytes(spec[name], columns) for name, columns in tables.items()}
    if "features" in tables:
        content["features.parquet"] = parquet({k: np.asarray(v) for k, v in tables["features"].items()})
    for path, data in content.items():
        write_whole(out / path, data)
    for name in tables:
        _write_sidecar(out, spec[name])
    write_whole(out / ".bidsignore", _ignored(spec).encode())
    write_whole(out / "README.md", _readme(spec).encode())
    _write_json(out / "dataset_description.json", description)
    return [out / path for path in content]


def write_table(out: Path, name: str, columns: Mapping[str, Any]) -> Path:
    """Write one table of the results and its sidecar; where it is."""
    spec = schema.OUTPUT[name]
    write_whole(out / spec.path, table_bytes(spec, columns))
    _write_sidecar(out, spec)
    return out / spec.path


def table_bytes(spec: schema.TableSpec, columns: Mapping[str, Any]) -> bytes:
    """A table as UTF-8 TSV, its columns in the order of the schema."""
    if unknown := columns.keys() - spec.column.keys():
        raise UsageError(f"{spec.name} has no column {', '.join(sorted(unknown))}", do="Add it to schema.yaml first.")
    n = len(next(iter(columns.values()), ()))
    cells = [_cells(spec, column, columns.get(column.name, [None] * n)) for column in spec.columns]
    lines = ["\t".join(column.name for column in spec.columns), *map("\t".join, zip(*cells, strict=True))]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _cells(spec: schema.TableSpec, column: schema.Column, values: Any) -> list[str]:
    write = _WRITE[column.kind]
    cells = ["n/a" if _missing(value) else write(value) for value in np.asarray(values, dtype=object).tolist()]
    where = f"{spec.path}, column {column.name}"
    if column.required and "n/a" in cells:
        raise UsageError(f"row {cells.index('n/a') + 1} has no value", where=where, why="The column is never n/a.")
    if column.levels and (strange := set(cells) - column.levels.keys() - {"n/a"}):
        raise UsageError(f"unknown level {', '.join(sorted(strange))}", where=where)
    return cells


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(value: float) -> str:
    if value in {float("inf"), float("-inf")}:
        raise UsageError("an infinite value cannot be written to a BIDS table", do="Give NaN and say why.")
    return f"{value + 0.0:.8g}"


def _boolean(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | str) else str(bool(value)).lower()


def _text(value: Any) -> str:
    text = _CONTROL.sub(" ", str(value)).strip()
    return f"'{text}" if _FORMULA.match(text) and not _PLAIN_NUMBER.fullmatch(text) else text or "n/a"


_WRITE: Mapping[str, Callable[[Any], str]] = {
    "text": _text,
    "level": _text,
    "number": _number,
    "integer": lambda value: str(int(value)),
    "boolean": _boolean,
}


def _write_sidecar(out: Path, spec: schema.TableSpec) -> None:
    _write_json((out / spec.path).with_suffix(".json"), schema.sidecar(spec))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _ignored(spec: Mapping[str, schema.TableSpec]) -> str:
    tables = [name for table in spec.values() for name in (table.path, str(Path(table.path).with_suffix(".json")))]
    return "\n".join([*tables, *_OURS]) + "\n"


def _readme(spec: Mapping[str, schema.TableSpec]) -> str:
    rows = "\n".join(f"- `{table.path}`: {table.meaning}" for table in spec.values())
    return (
        f"# Results of {NAME} {__version__}\n\nFor research; not a medical device. Open `index.html` first.\n\n{rows}\n"
        "- `study.sqlite`: every accepted row with its source, and the audit.\n\n"
        "Every table has a `.json` beside it that says what its columns mean. Intervals hold 90 %.\n"
    )
