"""A row entered, corrected or withdrawn: checked as a study's file is, with a reason, and never over another's change unseen."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from remanent.app.routes_patients import desk_of
from remanent.app.shelf import Person
from remanent.report import words
from remanent.report.views import Timeline
from remanent.study import schema
from remanent.study.entered import Checked, check_row, columns_to_type, contradicted
from remanent.study.record.entry import ENTERABLE, ConflictError, Entry, Held, version
from remanent.study.schema import Column
from remanent.study.store import Record
from remanent.treatment.doses import doubt_dose
from remanent.treatment.drugs import known, suggest

router = APIRouter(default_response_class=HTMLResponse)

LEAST_REASON, MOST_REASON = 5, 300
FAR_DAYS = 365.0  # a row that far from every other looks like a slip
TITLES: Mapping[str, str] = {
    "symptoms": "Rating",
    "medication": "Medication",
    "labs": "Laboratory value",
    "sleep": "Sleep",
    "events": "Event",
    "ect": "ECT session",
    "ema": "Momentary rating",
    "pet": "PET",
    "eeg": "EEG",
}
Number = Annotated[int | None, Query(ge=1, le=2**53)]


@router.get("/patients/{participant_id}/enter")
def form(
    request: Request, participant_id: str, table: str = "symptoms", row: Number = None, withdraw: bool = False
) -> HTMLResponse:
    """The form for one kind of row, empty, with the row to be corrected, or for a row to be withdrawn."""
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    person = desk.person(user, participant_id)
    rows = desk.record.held(participant_id)
    chosen = _row(rows, table, row)
    cells = {} if chosen is None else _cells(chosen)
    desk.audit(user, "view", participant_id, page="enter")
    desk.bench.expect_entry()
    if withdraw and chosen is not None:
        return _form(
            request, person, rows, {"table": table, "cells": {}, "correcting": None, "leaving": _entered(chosen)}
        )
    return _form(request, person, rows, {"table": table, "cells": cells, "correcting": chosen})


def _form_of(*names: str) -> dict[str, Any]:
    """What the schema says of a form: texts by name, and others."""
    body = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "additionalProperties": {"type": "string"},
    }
    return {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": body}}}}


async def _sent(request: Request) -> dict[str, str]:
    """The fields of a form; files are left out."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


_KEYS = ("table", "version", "row", "reason")


@router.post(
    "/patients/{participant_id}/enter", openapi_extra=_form_of(*_KEYS, "cell_day", "cell_value", "cell_instrument")
)
async def store(request: Request, participant_id: str) -> HTMLResponse:
    """Check, store with its reason, compute anew."""
    return await run_in_threadpool(_store, request, participant_id, await _sent(request))


def _store(request: Request, participant_id: str, fields: Mapping[str, str]) -> HTMLResponse:
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    person = desk.person(user, participant_id)
    table, reason, seen = (fields.get(name, "") for name in ("table", "reason", "version"))
    rows = desk.record.held(participant_id)
    chosen = _row(rows, table, _whole(fields.get("row", "")))
    cells = {column.name: fields.get(f"cell_{column.name}", "") for column in columns_to_type(_known(table))}
    checked = check_row(table, cells, participant_id, rows, (known, suggest, doubt_dose), chosen)
    said = [_say(problem.column, problem.problem) for problem in checked.problems if problem.action != "used"]
    others = [row for row in rows if row is not chosen]
    scans = [scan.day for scan in desk.shelf.view(participant_id).timeline.scans]
    far = "" if said or checked.table is None else contradicted(checked.table, others, scans) or _far(cells, others)
    said += [(_day_column(table), far)] if far and fields.get("far") != "yes" else []
    said += _reason_problem(reason)
    again: dict[str, Any] = {"table": table, "cells": cells, "correcting": chosen, "reason": reason, "far": bool(far)}
    if said or checked.table is None:
        return _form(request, person, rows, again | {"said": said}, status=422)
    closed = _closing(checked, chosen)
    entry = Entry(participant_id, [checked.table], closed, " ".join(reason.split()))
    try:
        desk.record.by(f"app:{user.name}").enter(entry, seen)
    except ConflictError:
        theirs = desk.record.held(participant_id)
        both = {"mine": cells, "theirs": theirs, "now": version(theirs)}
        return _form(request, person, theirs, again | {"conflict": both}, status=409)
    notes = [problem.problem for problem in checked.problems if problem.action == "used"]
    updated = desk.bench.take_in(participant_id)
    parts = {
        "person": person,
        "notes": notes,
        "updated": updated,
        "stopped": checked.closes,
        "withdrawn": False,
        "back": (),
    }
    return desk.page(request, "part_stored.html", parts)


@router.post("/patients/{participant_id}/withdraw", openapi_extra=_form_of(*_KEYS))
async def withdraw(request: Request, participant_id: str) -> HTMLResponse:
    """Take back a row that was entered, with a reason; compute anew."""
    return await run_in_threadpool(_withdraw, request, participant_id, await _sent(request))


def _withdraw(request: Request, participant_id: str, fields: Mapping[str, str]) -> HTMLResponse:
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    person = desk.person(user, participant_id)
    table, reason, seen = (fields.get(name, "") for name in ("table", "reason", "version"))
    rows, row = desk.record.held(participant_id), _whole(fields.get("row", ""))
    chosen = _row(rows, _known(table), row)
    if chosen is None:
        raise HTTPException(422, "No row is named.")
    again: dict[str, Any] = {"table": table, "cells": {}, "correcting": None, "leaving": _entered(chosen)}
    if said := _reason_problem(reason):
        return _form(request, person, rows, again | {"said": said, "reason": reason}, status=422)
    entry = Entry(participant_id, [], {table: [chosen.row_id]}, " ".join(reason.split()))
    try:
        desk.record.by(f"app:{user.name}").enter(entry, seen)
    except ConflictError:
        theirs = desk.record.held(participant_id)
        both = {"mine": None, "theirs": theirs, "now": version(theirs)}
        return _form(request, person, theirs, again | {"conflict": both, "reason": reason}, status=409)
    updated = desk.bench.take_in(participant_id)
    before = {(one.table, one.row_id) for one in rows}
    back = [one for one in desk.record.held(participant_id) if (one.table, one.row_id) not in before]
    parts = {"person": person, "notes": [], "updated": updated, "stopped": (), "withdrawn": True, "back": back}
    return desk.page(request, "part_stored.html", parts)


def _entered(row: Held) -> Held:
    """A row that may be withdrawn; 422 for others."""
    if not row.entered:
        raise HTTPException(
            422, "This row stands in a file of the study: it can be corrected here, and withdrawn there."
        )
    return row


def _form(
    request: Request, person: Person, rows: Sequence[Held], own: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    desk, table = desk_of(request), _known(own["table"])
    columns = columns_to_type(table)
    parts = {
        "person": person,
        "titles": TITLES,
        "columns": [(column, _choices(column, table, rows, desk.record)) for column in columns],
        "version": version(rows),
        "rows": sorted((row for row in rows if row.table == table), key=_day, reverse=True),
        "labels": {"reason": "Reason", **{column.name: column.label for column in columns}},
        "hints": _hints(table, desk.shelf.view(person.row.participant_id).timeline),
        "long_names": _LONG_NAMES,
        "open_ends": {"start_day": "before the first record", "stop_day": "ongoing"},
        "shown": [column for column in columns if column.name != "detail"],
        "history": desk.record.audit_of(person.row.participant_id, "enter"),
        "said": (),
        "far": False,
        "conflict": None,
        "leaving": None,
        "reason": "",
        "cell": _cell,
        **own,
    }
    template = "part_enter.html" if request.headers.get("hx-request") else "enter.html"
    return desk.page(request, template, parts, status)


_LONG_NAMES = {name: one.long_name for name, one in schema.INSTRUMENTS.items()} | {
    name: one.long_name for name, one in schema.ANALYTES.items()
}
_placements = next(column.levels for column in schema.INPUT["ect"].columns if column.name == "placement")
_HINTS: Mapping[tuple[str, str], str] = {
    ("symptoms", "instrument"): "The rating scale.",
    ("symptoms", "value"): "Total score.",
    ("medication", "start_day"): "First day on this dose; empty: since before the first record.",
    ("medication", "stop_day"): "First day without this dose; empty: ongoing.",
    ("ema", "value"): "The rating, as the study's other ratings of this item.",
    ("pet", "value"): "The value, in the unit of the study's other values of this tracer and outcome.",
    ("eeg", "value"): "The value, in the unit of the study's other values of this band and outcome.",
    ("pet", "region"): "Brain region, spelled as the study's other rows do.",
    ("eeg", "region"): "Electrode or brain region, spelled as the study's other rows do.",
    ("ect", "placement"): f"Electrodes: {'; '.join(f'{name}: {words}' for name, words in _placements.items())}.",
}


def _hints(table: str, course: Timeline) -> dict[str, str]:
    """What a field asks for, where the meaning of a file's column is not what somebody who types needs."""
    own = {column: hint for (of, column), hint in _HINTS.items() if of == table}
    last = "" if math.isnan(course.today) else f" Last record: {words.day_label(course.today)}."
    return {"day": f"Days since {course.origin}, negative before it; may be fractional.{last}", **own}


def _day(row: Held) -> float:
    """The day of a row, for its place in the list."""
    day = row.values.get("day", row.values.get("start_day"))
    return -math.inf if day is None else float(day)


def _day_column(table: str) -> str:
    return "start_day" if table == "medication" else "day"


def _far(cells: Mapping[str, str], rows: Sequence[Held]) -> str:
    """Why a day that may be used looks like a slip; empty where it does not. The patient's course would reach to it."""
    typed = cells.get("day") or cells.get("start_day") or ""
    days = [day for row in rows if math.isfinite(day := _day(row))]
    if not typed or not days or min(days) - FAR_DAYS <= (day := float(typed)) <= max(days) + FAR_DAYS:
        return ""
    first, last = (words.day_label(one) for one in (min(days), max(days)))
    return (
        f"{words.day_label(day)} is more than a year from everything on record ({first} to {last}). "
        "If it is right, say so below and store again."
    )


def _known(table: str) -> str:
    if table not in ENTERABLE:
        raise HTTPException(422, f"There is no such table; use one of {', '.join(ENTERABLE)}.")
    return table


def _row(rows: Sequence[Held], table: str, row: int | None) -> Held | None:
    if row is None:
        return None
    found = next((one for one in rows if (one.table, one.row_id) == (_known(table), row)), None)
    if found is None:
        raise HTTPException(
            404, "This row is not among this participant's current rows: it was changed, or never there."
        )
    return found


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _cells(row: Held) -> dict[str, str]:
    return {column.name: _cell(row.values[column.name]) for column in columns_to_type(row.table)}


def _cell(value: object) -> str:
    """A value of the record as a person types it."""
    if value is None or value in (float("inf"), float("-inf")):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _choices(column: Column, table: str, rows: Sequence[Held], record: Record) -> list[str]:
    """What the record's owner may choose from, or has used so far; empty: anything."""
    if column.levels:
        return list(column.levels)
    if table in ("pet", "eeg") and column.name in ("measure", "region"):
        return sorted(set(record.table(table)[column.name].tolist()))
    if column.name == "unit":
        return list(dict.fromkeys(unit for one in schema.ANALYTES.values() for unit in (one.unit, *one.units)))
    if column.name == "instrument":
        own = [str(row.values["instrument"]) for row in rows if row.table == "symptoms"]
        return list(dict.fromkeys([*own, *schema.INSTRUMENTS]))
    return {"analyte": list(schema.ANALYTES), "measure": list(schema.SLEEP_MEASURES) if table == "sleep" else []}.get(
        column.name, []
    )


def _closing(checked: Checked, chosen: Held | None) -> dict[str, list[int]]:
    gone = [*checked.closes, *([chosen] if chosen else [])]
    return {table: [row.row_id for row in gone if row.table == table] for table in {row.table for row in gone}}


def _reason_problem(reason: str) -> list[tuple[str, str]]:
    text = " ".join(reason.split())
    if not LEAST_REASON <= len(text) <= MOST_REASON or not text.isprintable():
        return [
            (
                "reason",
                f"Say in {LEAST_REASON} to {MOST_REASON} characters why; it is kept with the change.",
            )
        ]
    return []


def _say(column: str, problem: str) -> tuple[str, str]:
    """A problem in the words of the form, which names the field itself and stores no part of a row."""
    told = problem.removesuffix(" The row is used without this value.")
    told = f"it {told.removeprefix(own)}" if told.startswith(own := f'"{column}" ') else told
    return {"total": "value"}.get(column, column), words.sentence(told)
