"""Cells to typed, checked tables: every row of a study's tables is in a table or in the list of problems."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from remanent._errors import InputError, Problem, UsageError
from remanent.study import schema
from remanent.study.chronology import contradictions
from remanent.study.columns import mapped
from remanent.study.examine import examine, read_table
from remanent.study.rules import Context, DoubtDose, as_participant
from remanent.study.schema import INPUT, Column, Instrument
from remanent.study.sidecars import Described, instrument_of, read_sidecar
from remanent.study.table import Study, Table, merged, missing, without_duplicates
from remanent.study.tsv import Sheet, read_sheet, stack

__all__ = ["PHENOTYPE", "Study", "Table", "read_tables"]

PHENOTYPE = ("medication", "ect", "labs", "sleep", "events", "ema", "pet", "eeg")
_NOT_TSV = (".csv", ".xlsx", ".xls", ".ods", ".txt", ".gz", ".sav", ".rds", ".parquet")


def read_tables(
    root: Path,
    participants: Sequence[str] = (),
    known_drugs: Callable[[str], bool] | None = None,
    suggest_drug: Callable[[str], str | None] | None = None,
    doubt_dose: DoubtDose | None = None,
) -> tuple[dict[str, Table], tuple[Problem, ...]]:
    """Read and check every table of a study.

    Parameters
    ----------
    root
        The BIDS study.
    participants
        Read only these, with or without ``sub-``; empty: all.
    known_drugs, suggest_drug
        Whether a drug can be turned into exposure, and the nearest known name; None: every drug is accepted.
    doubt_dose
        What speaks against a dose, as `rules.Context` says; None: every dose is accepted.

    Returns
    -------
    tables
        Every table of `schema.INPUT` by name, empty where the study has none.
    problems
        What was not as it should be; every row that is in no table is here.

    Raises
    ------
    InputError
        There is no study here: no folder, or nobody in it.
    UsageError
        A participant was asked for who is not in the study.
    """
    if not root.is_dir():
        raise InputError(f'"{root}" is not a folder', why="A study is a BIDS folder", do="Give the path of one")
    folders = sorted(path.name for path in root.glob("sub-*") if as_participant(path.name) and _is_folder(path))
    people, problems = _people(root, folders)
    known = frozenset(people["participant_id"].tolist())
    wanted = _wanted(participants, known)
    files = _phenotype_files(root)
    context = Context(known, wanted, {}, _had_ect(files), known_drugs, suggest_drug, doubt_dose)
    visits, more = _visits(root, [folder for folder in folders if folder in (wanted or known)], context)
    days = zip(visits["participant_id"], visits["session_id"], visits["day"], strict=True)
    context = replace(context, session_day={(person, session): day for person, session, day in days})
    found = [_read_phenotype(path, context) for path in files]
    problems += (*more, *_misplaced(root), *(problem for _, said in found for problem in said))
    tables = {
        "participants": people.select(np.array([wanted is None or p in wanted for p in people["participant_id"]], bool))
    }
    tables["sessions"] = visits
    for name, spec in INPUT.items():
        parts = [table for table, _ in found if table is not None and table.spec.name == name]
        if name not in tables:
            tables[name], more = without_duplicates(merged(spec, parts))
            problems += more
    return tables, (*problems, *_crowded(tables["symptoms"]), *contradictions(tables))


def _people(root: Path, folders: list[str]) -> tuple[Table, tuple[Problem, ...]]:
    """The participants of participants.tsv; without it, those who have a folder."""
    table, problems = read_table(root / "participants.tsv", "participants.tsv", INPUT["participants"], Context())
    if table is not None and len(table):
        table, more = without_duplicates(merged(INPUT["participants"], [table]))
        lost = sorted(set(folders) - set(table["participant_id"].tolist()))
        reason = "The folder's participant is not in participants.tsv, so it takes no part; add a row there."
        return table, (*problems, *more, *(Problem(folder, None, "", reason, "set_aside") for folder in lost))
    if not folders:
        said = f" ({problems[0].problem})" if _is_there(root / "participants.tsv") else ""
        raise InputError(
            f"No participants: there is no usable participants.tsv{said} and no sub-<label> folder",
            where=str(root),
            why="A study starts with its participants",
            do="Write participants.tsv with a column participant_id, or give the right folder",
        )
    if not _is_there(root / "participants.tsv"):
        reason = "There is no participants.tsv; the participants are taken from the sub- folders, without age, sex, site or diagnosis."
        problems = (Problem("participants.tsv", None, "", reason, "used"),)
    columns = {column.name: missing(column, len(folders)) for column in INPUT["participants"].columns}
    columns["participant_id"] = np.array(folders, dtype=object)
    return Table(INPUT["participants"], columns, columns["participant_id"], np.ones(len(folders), dtype=int)), problems


def _wanted(participants: Sequence[str], known: frozenset[str]) -> frozenset[str] | None:
    if not participants:
        return None
    labels = {label: as_participant(label) for label in participants}
    lost = sorted(label for label, participant in labels.items() if participant not in known)
    if lost:
        raise UsageError(
            f"No such participant: {', '.join(lost)}", do=f"The study has {', '.join(sorted(known)[:10])} ..."
        )
    return frozenset(participant for participant in labels.values() if participant)


def _phenotype_files(root: Path) -> list[Path]:
    folder = root / "phenotype"
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] not in "._")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(folder), do="Check your rights to it"
        ) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_there(path: Path) -> bool:
    """Whether there is something of this name, be it unreadable or a link to nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _had_ect(files: list[Path]) -> frozenset[str]:
    """Everyone named in ect.tsv, whatever else is wrong with their rows."""
    path = next((path for path in files if path.name.casefold() == "ect.tsv"), None)
    sheet = read_sheet(path, "")[0] if path else None
    name = next((name for name in sheet.header if name.casefold() == "participant_id"), None) if sheet else None
    return (
        frozenset() if sheet is None or name is None else frozenset(mapped(sheet.column(name), as_participant).tolist())
    )


def _misplaced(root: Path) -> list[Problem]:
    """Tables that would be read if they lay in phenotype/."""
    known = {*PHENOTYPE, *schema.spellings("instrument")}
    found = sorted(path.name for path in root.glob("*.tsv") if path.stem.casefold() in known)
    return [
        Problem(name, None, "", f"Tables are read from phenotype/: move it to phenotype/{name}.", "refused")
        for name in found
    ]


def _read_phenotype(path: Path, context: Context) -> tuple[Table | None, tuple[Problem, ...]]:
    file = f"phenotype/{path.name}"
    if path.suffix.casefold() in _NOT_TSV:
        return None, (
            Problem(file, None, "", "Only .tsv tables are read: export it as tab-separated text.", "refused"),
        )
    if path.suffix.casefold() != ".tsv":
        return None, ()
    if path.stem.casefold() in PHENOTYPE:
        return read_table(path, file, INPUT[path.stem.casefold()], context)
    sidecar, problems = read_sidecar(path, file)
    instrument, more = instrument_of(path.stem, sidecar, file)
    if instrument is None:
        return None, (*problems, *more)
    table, rest = read_table(path, file, schema.instrument_spec(instrument), context)
    return table and as_symptoms(table, instrument), (*more, *rest)


def _crowded(ratings: Table) -> tuple[Problem, ...]:
    """Say it of days with several ratings of one person on one scale, which the panel takes as one."""
    who, scale = ratings["participant_id"].tolist(), ratings["instrument"].tolist()
    keys = list(zip(who, scale, np.floor(ratings["day"]).tolist(), strict=True))
    times, found = Counter(keys), []
    for i, key in enumerate(keys):
        if (count := times.pop(key, 1)) > 1:
            why = f'The scale was rated "{count}" times on this day; the model takes that as one rating, their mean.'
            found.append(Problem(ratings.file[i], int(ratings.row[i]), "day", why, "used"))
    return tuple(found)


def as_symptoms(ratings: Table, instrument: Instrument) -> Table:
    """The totals of one instrument as rows of the symptoms table."""
    spec, n = INPUT["symptoms"], len(ratings)
    low, high = (limit if np.isfinite(limit) else np.nan for limit in (instrument.minimum, instrument.maximum))
    columns = {
        "participant_id": ratings["participant_id"],
        "day": ratings["day"],
        "instrument": np.full(n, instrument.name, dtype=object),
        "value": ratings["total"],
        "direction": np.full(n, instrument.direction, dtype=object),
        "minimum": np.full(n, low, dtype=float),
        "maximum": np.full(n, high, dtype=float),
    }
    others = {
        name if name not in columns else f"{instrument.name}:{name}": values
        for name, values in ratings.columns.items()
        if name not in ratings.spec.column
    }
    return Table(spec, columns | others, ratings.file, ratings.row)


def _visits(root: Path, folders: list[str], context: Context) -> tuple[Table, tuple[Problem, ...]]:
    """Every sub-<label>_sessions.tsv; files of one header are checked together."""
    spec = INPUT["sessions"]
    parts: dict[tuple[str, ...], list[Sheet]] = {}
    first: dict[tuple[str, ...], str] = {}
    problems: list[Problem] = []
    for folder in folders:
        file = f"{folder}/{folder}_sessions.tsv"
        if not _is_there(root / file):
            continue
        sheet, said = read_sheet(root / file, file)
        problems += said
        if sheet is not None:
            first.setdefault(sheet.header, file)
            parts.setdefault(sheet.header, []).append(sheet.with_column("participant_id", folder))
    acq_time = Column("acq_time", "text", "", None, None, {}, required=False, meaning="", label="")
    columns = (*(replace(c, required=c.required and c.name != "day") for c in spec.columns), acq_time)
    dated = Described(replace(spec, columns=columns), {})
    examined = [examine(stack(sheets), first[header], dated, context) for header, sheets in parts.items()]
    problems += (problem for _, said in examined for problem in said)
    table, more = without_duplicates(merged(spec, [table for table, _ in examined if table is not None]))
    return table, (*problems, *more)
