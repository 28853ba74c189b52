"""Checked tables written as a BIDS study: what a REDCap export becomes on disk."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from remanent import __version__
from remanent._errors import InputError, Problem
from remanent.study import schema
from remanent.study.outputs import table_bytes
from remanent.study.record.files import write_whole
from remanent.study.redcap import Lost
from remanent.study.schema import INSTRUMENTS, OUTPUT
from remanent.study.table import Table

_NOTES = Path("sourcedata") / "redcap"
PROBLEMS = _NOTES / "problems.tsv"
_WRITTEN = _NOTES / "written.txt"  # what the last import wrote: the next one replaces just that


def write_study(
    tables: Mapping[str, Table],
    root: Path,
    problems: Sequence[Problem] = (),
    lost: Lost | None = None,
    source: Path | None = None,
    name: str = "Study from REDCap",
) -> Path:
    """Write checked tables as a BIDS study, for `remanent check` and `remanent run`; where the problems are listed.

    Rows that were set aside (`lost`) are written too: whoever reads the study sets them aside again, and says so. A study
    that was written like this before gets its tables anew; whatever else lies there (derivatives) stays.

    Raises
    ------
    InputError
        `root` holds something else, or cannot be written.
    """
    try:
        before = (root / _WRITTEN).read_text("utf-8").splitlines() if (root / _WRITTEN).is_file() else None
        if before is None and root.exists() and (not root.is_dir() or any(root.iterdir())):
            why = "It was not written from REDCap before, and a study is never mixed with other files"
            raise InputError("The folder is not empty", where=str(root), why=why, do="Give a new folder")
        files = {**_about(tables, name, source), **dict(_tables(tables, lost or {})), PROBLEMS: _listed(problems)}
        for old in before or ():
            if Path(old) not in files and ".." not in Path(old).parts:
                (root / old).unlink(missing_ok=True)
        for participant in tables["participants"]["participant_id"]:
            (root / participant).mkdir(parents=True, exist_ok=True)
        files[_WRITTEN] = "".join(f"{path.as_posix()}\n" for path in files).encode()
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(root / path, content)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(root)) from error
    return root / PROBLEMS


def _about(tables: Mapping[str, Table], name: str, source: Path | None) -> dict[Path, bytes]:
    """The files every study needs, with the export's hash as its source."""
    made_by = {"Name": "Remanent", "Version": __version__, "Description": "From a REDCap export"}
    content: dict[str, Any] = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "raw", "GeneratedBy": [made_by]}
    if source:
        made_by["Description"] += f", SHA-256 {hashlib.sha256(source.read_bytes()).hexdigest()}"
    words = (
        f"{name}: {len(tables['participants'])} participants. Clinical tables, converted by Remanent {__version__}.\n"
    )
    return {
        Path("dataset_description.json"): _json(content),
        Path("README"): words.encode(),
        Path(".bidsignore"): b"phenotype/\n",
    }


def _tables(tables: Mapping[str, Table], lost: Lost) -> Iterator[tuple[Path, bytes]]:
    symptoms = tables["symptoms"]
    found = {
        table.spec.path: (table.spec, {column: table[column] for column in table.spec.column})
        for key, table in tables.items()
        if key not in ("sessions", "symptoms")
    }
    for instrument in INSTRUMENTS:
        own = symptoms.select(symptoms["instrument"] == instrument)
        columns = {"participant_id": own["participant_id"], "day": own["day"], "total": own["value"]}
        spec = schema.instrument_spec(INSTRUMENTS[instrument])
        found[spec.path] = (spec, columns)
    for path, (spec, columns) in found.items():
        rows = [_line(row) for row in lost.get(path, ())]
        if rows or len(columns["participant_id"]):
            finite = {name: _open_ends_missing(values) for name, values in columns.items()}
            yield Path(path), table_bytes(spec, finite) + "".join(rows).encode("utf-8", "backslashreplace")
            yield Path(path).with_suffix(".json"), _json(schema.sidecar(spec))


def _line(cells: Sequence[str]) -> str:
    return "\t".join(" ".join(cell.split()) or "n/a" for cell in cells) + "\n"


def _listed(problems: Sequence[Problem]) -> bytes:
    names = ("file", "row", "column", "problem", "action")
    return table_bytes(OUTPUT["problems"], {name: [getattr(p, name) or None for p in problems] for name in names})


def _open_ends_missing(values: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(values), np.nan, values) if values.dtype.kind == "f" else values


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
