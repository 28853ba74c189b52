"""Clinical rules: what each table must fulfil beyond the type and range of its columns.

A rule gets the columns of one file and its `Rows`; it sets rows aside and returns the columns, known names spelled
our way.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from remanent._errors import Action
from remanent.study import schema
from remanent.study.columns import DAY_FROM_DATE, Rows, absent, flagged, is_missing, mapped

Columns = dict[str, np.ndarray]
DoubtDose = Callable[[str, float, float], tuple[Action, str] | None]

_COURSE_GAP_DAYS = 5.0  # sessions of one course follow each other so closely; after it they are a week apart or more
_ID = re.compile(r"sub-[0-9A-Za-z+]+")


@dataclass(frozen=True)
class Context:
    """What the rules of one table need to know of the rest of the study.

    Attributes
    ----------
    participants
        Everyone in the study; None while that is being found out.
    wanted
        Those asked for; rows of others are passed over without a word. None: all.
    session_day
        Day of each scan visit, by participant and session.
    had_ect
        Participants with ECT sessions.
    known_drug, suggest_drug
        Whether a drug can be turned into exposure, and the known name nearest to another.
    doubt_dose
        What speaks against a dose of a drug, given the dose before it (0: none), and what to do with its row; None: nothing.
    """

    participants: frozenset[str] | None = None
    wanted: frozenset[str] | None = None
    session_day: Mapping[tuple[str, str], float] = field(default_factory=dict)
    had_ect: frozenset[str] = frozenset()
    known_drug: Callable[[str], bool] | None = None
    suggest_drug: Callable[[str], str | None] | None = None
    doubt_dose: DoubtDose | None = None


def participant_ids(cells: pa.StringArray, rows: Rows, context: Context) -> np.ndarray:
    """Participant ids as ``sub-<label>``; rows of unknown or malformed ones are set aside, [row]."""
    name = "participant_id"
    rows.set_aside(
        flagged(cells, is_missing), name, '"participant_id" is missing, so it is not known whose row this is.'
    )
    reason = "has characters that a participant_id may not have: write sub- and letters or digits, as BIDS wants."
    malformed = flagged(cells, lambda text: as_participant(text) is None)
    rows.set_aside(malformed, name, lambda row: f'"{_printable(cells[row].as_py())}" {reason}')
    bare = flagged(cells, lambda text: not text.startswith("sub-"))
    rows.note_once(bare, name, lambda n: f'The prefix "sub-" is missing (in {n} rows); it is taken as meant.')
    people, wanted = context.participants, context.wanted
    if people is not None:
        unknown = flagged(cells, lambda text: as_participant(text) not in people)
        reason = "is not in participants.tsv; add it there or correct it."
        rows.set_aside(unknown, name, lambda row: f'"{as_participant(cells[row].as_py())}" {reason}')
    if wanted is not None:
        rows.kept &= flagged(cells, lambda text: as_participant(text) in wanted)
    return mapped(cells, as_participant)


def as_participant(text: str) -> str | None:
    """``sub-<label>``, with the prefix added where it is missing; None for what BIDS does not allow."""
    label = text if text.startswith("sub-") else f"sub-{text}"
    return label if _ID.fullmatch(label) else None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:30])


def session_ids(cells: pa.StringArray, rows: Rows) -> np.ndarray:
    """Session ids as ``ses-<label>``; None for a missing one, malformed ones set their row aside, [row]."""
    ids = mapped(cells, _as_session)
    wrong = flagged(cells, lambda text: not is_missing(text) and _as_session(text) is None)
    reason = "is no session_id: write ses- and letters or digits, as BIDS wants."
    rows.set_aside(wrong, "session_id", lambda row: f'"{_printable(cells[row].as_py())}" {reason}')
    return ids


def _as_session(text: str) -> str | None:
    label = text if text.startswith("ses-") else f"ses-{text}"
    if is_missing(text):
        return None
    return label if re.fullmatch(r"ses-[0-9A-Za-z+]+", label) else None


def days_of_sessions(
    participant: np.ndarray, session: np.ndarray, day: np.ndarray, rows: Rows, context: Context
) -> np.ndarray:
    """Days, and where a row has none that of its session, from the participant's sessions.tsv, [row]."""
    pairs = zip(participant.tolist(), session.tolist(), strict=True)
    found = np.array([context.session_day.get(pair, np.nan) for pair in pairs], dtype=float)
    lost = np.isnan(day) & np.isnan(found)
    rows.set_aside(
        lost & absent(session), "session_id", "The row has neither day nor session_id, and means nothing without."
    )
    reason = "has no day: give it in this table's \"day\", or in the participant's sessions.tsv (session_id, day)."
    rows.set_aside(lost, "session_id", lambda row: f'"{session[row]}" of "{participant[row]}" {reason}')
    return np.where(np.isnan(day), found, day)


def participants(columns: Columns, _rows: Rows, _context: Context) -> Columns:
    """Known diagnoses are spelled our way."""
    return columns | {"diagnosis": _spelled(columns["diagnosis"], schema.spellings("diagnosis"))}


def medication(columns: Columns, rows: Rows, context: Context) -> Columns:
    """Known drugs; a stop after its start; doses that are given; no two of one drug at a time. Open ends become infinite."""
    drug = np.array([text and text.casefold() for text in columns["drug"]], dtype=object)
    if context.known_drug is not None:
        known = {name: context.known_drug(name) for name in set(drug[rows.kept].tolist()) if name}
        unknown = np.array([not known.get(name, True) for name in drug], dtype=bool)
        rows.set_aside(unknown, "drug", lambda row: _unknown_drug(drug[row], context))
    start, stop = columns["start_day"], columns["stop_day"]
    start, stop = np.where(np.isnan(start), -np.inf, start), np.where(np.isnan(stop), np.inf, stop)
    reason = "stop_day is the first day without the dose, so it must come after start_day."
    rows.set_aside(
        stop <= start, "stop_day", lambda row: f'"{stop[row]:g}" does not come after "{start[row]:g}": {reason}'
    )
    columns = columns | {"drug": drug, "start_day": start, "stop_day": stop}
    if context.doubt_dose is not None:
        _credible_doses(columns, rows, context.doubt_dose)
    _no_two_doses(columns, rows)
    return columns


def _unknown_drug(name: str, context: Context) -> str:
    near = context.suggest_drug(name) if context.suggest_drug else None
    hint = f'Is "{near}" meant?' if near else "Write the international non-proprietary name."
    return f'"{_printable(name)}" is not in the drug table, so its dose cannot be turned into exposure. {hint}'


def _credible_doses(columns: Columns, rows: Rows, doubt: DoubtDose) -> None:
    """Set aside doses that cannot have been taken, say it of those that are unlikely."""
    before = _doses_before(columns, rows.kept)
    asked = list(zip(columns["drug"].tolist(), columns["dose_mg_day"].tolist(), before.tolist(), strict=True))
    known = {one: doubt(*one) for one, kept in set(zip(asked, rows.kept.tolist(), strict=True)) if kept}
    found = {row: said for row, one in enumerate(asked) if (said := known.get(one)) is not None}
    for action, say in (("set_aside", rows.set_aside), ("used", rows.note)):
        meant = [row for row, (what, _) in found.items() if what == action]
        say(np.isin(np.arange(len(asked)), meant), "dose_mg_day", lambda row: found[row][1])


def _doses_before(columns: Columns, kept: np.ndarray) -> np.ndarray:
    """The dose of the same drug that each row's person had before, 0 for none, [row]."""
    before = np.zeros(len(kept))
    last: dict[tuple[str, str], float] = {}
    for row in np.argsort(columns["start_day"], kind="stable").tolist():
        if kept[row]:
            who = (columns["participant_id"][row], columns["drug"][row])
            before[row] = last.get(who, 0.0)
            last[who] = float(columns["dose_mg_day"][row])
    return before


def _no_two_doses(columns: Columns, rows: Rows) -> None:
    """Set aside overlapping rows of one drug that differ in dose: which holds, or whether they add up, is not known."""
    index = np.flatnonzero(rows.kept)
    keys = [columns[name][index] for name in ("start_day", "drug", "participant_id")]
    order = index[np.lexsort([key if key.dtype.kind == "f" else key.astype(str) for key in keys])]
    clashes = [group for group in _overlapping(columns, order.tolist()) if len(set(columns["dose_mg_day"][group])) > 1]
    lines = {row: ", ".join(str(rows.line[other]) for other in group[:6]) for group in clashes for row in group}
    reason = "Which holds, or whether they add up, is not known: give the day each dose ends, or one row with the sum."
    rows.set_aside(
        np.isin(np.arange(len(rows.kept)), list(lines)),
        "dose_mg_day",
        lambda row: f'Lines "{lines[row]}" give different doses of this drug for the same days. {reason}',
    )


def _overlapping(columns: Columns, order: list[int]) -> list[list[int]]:
    """Groups of rows of one person and drug, each of which overlaps those before it; rows come sorted by start."""
    groups: list[list[int]] = []
    last, open_until = None, -np.inf
    for row in order:
        name = (columns["participant_id"][row], columns["drug"][row])
        start, stop = columns["start_day"][row], columns["stop_day"][row]
        if name == last and start < open_until:
            groups[-1].append(row)
            open_until = max(open_until, stop)
        else:
            groups.append([row])
            last, open_until = name, stop
    return groups


def labs(columns: Columns, rows: Rows, _context: Context) -> Columns:
    """Known analytes are converted to one unit each; above its credible maximum a value is set aside."""
    analyte = _spelled(columns["analyte"], schema.spellings("analyte"), otherwise=str.casefold)
    value, unit = columns["value"].copy(), columns["unit"].copy()
    for known in schema.ANALYTES.values():
        of = analyte == known.name
        factors = {known.unit.casefold(): 1.0} | {other.casefold(): factor for other, factor in known.units.items()}
        value[of] *= np.array([factors.get(_ascii_unit(text), np.nan) for text in unit[of]], dtype=float)
        wrong = f"is no unit known for {known.name}: write one of {', '.join((known.unit, *known.units))}."
        _set_aside(rows, of & np.isnan(value), "unit", unit, wrong)
        limit = (
            f"is above {known.maximum:g} {known.unit}, the most that is taken for a real {known.name}: check the unit."
        )
        _set_aside(rows, of & (value > known.maximum), "value", columns["value"], limit)
        unit[of] = known.unit
    return columns | {"analyte": analyte, "value": value, "unit": unit}


def _set_aside(rows: Rows, wrong: np.ndarray, column: str, values: np.ndarray, reason: str) -> None:
    rows.set_aside(wrong, column, lambda row: f'"{_printable(str(values[row]))}" {reason}')


def _ascii_unit(text: str | None) -> str:
    return (text or "").casefold().replace("µ", "u").replace("μ", "u").replace(" ", "")


def sleep(columns: Columns, rows: Rows, _context: Context) -> Columns:
    """Known sleep measures stay within what is possible."""
    measure = _spelled(columns["measure"], schema.spellings("sleep_measure"), otherwise=str.casefold)
    value = columns["value"]
    for known in schema.SLEEP_MEASURES.values():
        beyond = (measure == known.name) & ((value < known.minimum) | (value > known.maximum))
        limits = f"is outside {known.minimum:g} to {known.maximum:g} {known.unit}, the limits of {known.name}."
        _set_aside(rows, beyond, "value", value, limits)
    return columns | {"measure": measure}


def ect(columns: Columns, rows: Rows, _context: Context) -> Columns:
    """Day 0 is the last session of the index course: said where a participant has none on it, or where the course starts on it."""
    person = columns["participant_id"].astype(str)
    on_zero = set(person[rows.kept & (np.floor(columns["day"]) == 0)])
    without = rows.kept & ~np.isin(person, list(on_zero))
    _, first = np.unique(np.where(without, person, ""), return_index=True)
    rows.note(
        without & np.isin(np.arange(len(person)), first),
        "day",
        lambda row: (
            f'"{person[row]}" has no ECT session on day 0; days must count from the last session of the index course.'
        ),
    )
    _no_course_from_zero(person, columns["day"], rows)
    return columns


def _no_course_from_zero(person: np.ndarray, day: np.ndarray, rows: Rows) -> None:
    """Say it where sessions follow day 0 as those of a course do, and are more than those that lead up to it."""
    starts: dict[int, int] = {}
    for who in set(person[rows.kept & (np.floor(day) == 0)].tolist()):
        own = np.flatnonzero(rows.kept & (person == who))
        days = np.sort(day[own])
        after = days[days >= 0]
        course = after[: 1 + int(np.argmax(np.append(np.diff(after) > _COURSE_GAP_DAYS, True)))]
        if (n := int((np.floor(course) > 0).sum())) > (days < 0).sum():
            starts[int(own[np.argmin(np.abs(day[own]))])] = n
    why = (
        "If it is the first session of the course, subtract the day of the last from all days of this participant, in every table: "
        "else the model starts in the middle of the course, and nothing can be said of what holds the recovery."
    )
    rows.note(
        np.isin(np.arange(len(day)), list(starts)),
        "day",
        lambda row: (
            f'"{person[row]}" has "{starts[row]}" ECT sessions in a row after day 0 and fewer before it, but day 0 must be the last of the index course. {why}'
        ),
    )


def events(columns: Columns, rows: Rows, context: Context) -> Columns:
    """No relapse before day 0 in someone who had ECT: it cannot be a relapse after that treatment."""
    early = (columns["event"] == "relapse") & (columns["day"] < 0)
    early &= np.isin(columns["participant_id"].astype(str), list(context.had_ect))
    reason = "as the day of a relapse lies before the last session of the index ECT course (day 0): check the day."
    _set_aside(rows, early, "day", columns["day"], reason)
    return columns


def sessions(columns: Columns, rows: Rows, context: Context) -> Columns:
    """Scan visits without a day take it from their dates, where these can be related to the patient's day 0."""
    day, person = columns["day"].copy(), columns["participant_id"]
    date = _dates(columns["acq_time"])
    for participant in set(person[rows.kept & np.isnan(day)].tolist()):
        visits = (person == participant) & rows.kept
        origin, how = _day_zero(day[visits], date[visits], had_ect=participant in context.had_ect)
        late = visits & np.isnan(day) & ~np.isnat(date)
        if origin is not None:
            day[late] = (date[late] - origin).astype(float)
            rows.note(late & (np.cumsum(late) == 1), "acq_time", how)
        else:
            rows.set_aside(visits & np.isnan(day), "day", how)
    without = (
        "The visit has neither day nor acq_time (as 2024-05-31T09:30:00), so it cannot be placed in time: give its day."
    )
    rows.set_aside(np.isnan(day), "day", without)
    return columns | {"day": day}


def _dates(texts: np.ndarray) -> np.ndarray:
    """Calendar dates of ISO 8601 texts; NaT for anything else, [row]."""
    return np.array([_date(text) for text in texts], dtype="datetime64[D]")


def _date(text: str | None) -> str:
    try:
        return datetime.fromisoformat(text or "").date().isoformat()
    except ValueError:
        return "NaT"


def _day_zero(day: np.ndarray, date: np.ndarray, *, had_ect: bool) -> tuple[np.datetime64 | None, str]:
    """The date of a patient's day 0, or None, with the reason."""
    both = np.flatnonzero(~np.isnan(day) & ~np.isnat(date))
    if len(both):
        origin = date[both[0]] - np.round(day[both[0]]).astype("timedelta64[D]")
        return origin, "Some visits have only a date; their day is counted from a visit that has both day and acq_time."
    if had_ect:
        reason = (
            "the date of the last session of the index ECT course is not in the study, so this visit cannot be placed."
        )
        return None, f"The visit has a date (acq_time) and no day: {reason} {DAY_FROM_DATE}"
    if np.isnat(date).any() or not np.isnan(day).all():
        return (
            None,
            f"The visit has no day, and not every visit of this participant has a readable acq_time. {DAY_FROM_DATE}",
        )
    reason = "day is counted from the first visit, as there was no ECT. Give day if other tables count from elsewhere."
    return date.min(), f"The visits have dates (acq_time) and no day: {reason}"


RULES: Mapping[str, Callable[[Columns, Rows, Context], Columns]] = {
    "sessions": sessions,
    "participants": participants,
    "medication": medication,
    "labs": labs,
    "sleep": sleep,
    "ect": ect,
    "events": events,
}


def _spelled(values: np.ndarray, spelling: Mapping[str, str], otherwise: Callable[[str], str] = str) -> np.ndarray:
    """Known names our way, the others as they stand or through `otherwise`, [row]."""
    known = {
        value: spelling.get(value.casefold(), otherwise(value)) for value in set(values.tolist()) if value is not None
    }
    return np.array([known.get(value) for value in values.tolist()], dtype=object)
