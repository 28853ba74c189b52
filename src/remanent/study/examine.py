"""One sheet against its definition: typed columns, the rules of its table, and a reason for every row that is out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from remanent._errors import Problem
from remanent.study.columns import Rows, coded, read_column, texts
from remanent.study.headers import (
    Header,
    account_for_dates,
    account_for_others,
    account_for_ratings,
    lacking,
    refuse_identifiers,
    sort_header,
)
from remanent.study.rules import RULES, Columns, Context, days_of_sessions, participant_ids, session_ids
from remanent.study.schema import TableSpec, spellings
from remanent.study.sidecars import Described, describe, read_sidecar
from remanent.study.table import Table, missing
from remanent.study.tsv import Sheet, read_sheet


def read_table(path: Path, file: str, spec: TableSpec, context: Context) -> tuple[Table | None, tuple[Problem, ...]]:
    """One file and its sidecar; None where nothing of the file can be used."""
    sheet, problems = read_sheet(path, file)
    if sheet is None:
        return None, problems
    sidecar, sidecar_problems = read_sidecar(path, file)
    described, unit_problems = describe(spec, sidecar, file)
    table, more = examine(sheet, file, described, context)
    return table, (*problems, *sidecar_problems, *unit_problems, *more)


def examine(
    sheet: Sheet, file: str, described: Described, context: Context
) -> tuple[Table | None, tuple[Problem, ...]]:
    """Check a sheet; `file` is what problems of the whole sheet call it."""
    spec = described.spec
    readable = [name for name in (*spec.column, "session_id") if not np.isnan(described.factor.get(name, 1.0))]
    header = sort_header(sheet.header, readable)
    header = replace(header, others=tuple(name for name in header.others if name not in spec.column))
    problems = [
        *refuse_identifiers(header, file),
        *account_for_ratings(header, spec, file),
        *account_for_dates(header, spec, file, lambda name: coded(sheet.column(name))[1]),
    ]
    lack = lacking(header, spec, file, len(sheet))
    if lack:
        return None, (*problems, lack)
    problems += account_for_others(header, spec, file)
    rows = Rows(sheet)
    columns = _columns(sheet, header, described, rows, context)
    if spec.name in RULES:
        columns = RULES[spec.name](columns, rows, context)
    others = {name: texts(sheet.column(name)) for name in header.others}
    table = Table(spec, columns | others, sheet.file, sheet.line).select(rows.kept)
    return table, (*problems, *rows.problems)


def _columns(sheet: Sheet, header: Header, described: Described, rows: Rows, context: Context) -> Columns:
    spec = described.spec
    by_session = "day" in spec.column and "session_id" in header.ours and "session_id" not in spec.column
    columns: Columns = {}
    for column in spec.columns:
        cells = sheet.column(header.ours[column.name]) if column.name in header.ours else None
        if cells is None:
            columns[column.name] = missing(column, len(sheet))
        elif column.name == "participant_id":
            columns[column.name] = participant_ids(cells, rows, context)
        elif column.name == "session_id":
            columns[column.name] = session_ids(cells, rows)
        else:
            asked = replace(column, required=False) if by_session and column.name == "day" else column
            factor = described.factor.get(column.name, 1.0)
            columns[column.name] = read_column(cells, asked, rows, spelled(column.name), factor)
    if by_session:
        visit = session_ids(sheet.column(header.ours["session_id"]), rows)
        columns["day"] = days_of_sessions(columns["participant_id"], visit, columns["day"], rows, context)
    return columns


def spelled(column: str) -> Mapping[str, str] | None:
    """Other spellings of a column's levels, where it has any."""
    return spellings(column) if column in ("placement", "event", "sex") else None
