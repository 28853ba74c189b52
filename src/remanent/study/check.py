"""What of a study can be used, what cannot and why, and what its questions still lack: in one screen."""

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from remanent._errors import Problem
from remanent.study.people import parted
from remanent.study.table import Study, Table

WIDTH = 118
_REST = "`remanent check --all` lists them"
PATIENTS_SHOWN = 20
GROUPS_SHOWN = 15
_FUNCTION = frozenset({"xcpd", "fmriprep"})
_STRUCTURE = frozenset({"qsirecon", "freesurfer"})
_SCANS = ("scans of function", "scans of structure")
_RECORDS = {
    "symptoms": "symptom ratings",
    "medication": "drug rows",
    "ect": "ECT sessions",
    "labs": "laboratory values",
    "sleep": "sleep measures",
    "events": "events",
    "ema": "momentary ratings",
    "pet": "PET values",
    "eeg": "EEG values",
}
_NAMED_BY = {
    "symptoms": "instrument",
    "medication": "drug",
    "ect": "placement",
    "labs": "analyte",
    "sleep": "measure",
    "events": "event",
}


@dataclass(frozen=True)
class PatientSummary:
    """What can be used of one participant.

    Attributes
    ----------
    scans
        Scan visits with a derivative of brain function and of brain structure.
    records
        Rows by table.
    rating_span_days
        First and last day of a symptom rating; NaN without ratings.
    dose_changes
        Days on which a dose starts, changes or ends.
    events
        What happened, in order of days.
    healthy
        Whether patients are only compared with this participant.
    """

    participant_id: str
    scans: tuple[int, int]
    records: Mapping[str, int]
    rating_span_days: tuple[float, float]
    dose_changes: int
    events: tuple[str, ...]
    healthy: bool = False

    @property
    def usable(self) -> bool:
        """Whether there is anything to work with: a scan or a rating."""
        return any(self.scans) or self.records["symptoms"] > 0

    @property
    def kinds(self) -> int:
        """How many kinds of data there are."""
        return sum(n > 0 for n in (*self.scans, *self.records.values()))


@dataclass(frozen=True)
class ProblemGroup:
    """Problems that say the same of different rows; `first` stands for all."""

    first: Problem
    count: int
    files: int


@dataclass(frozen=True)
class Summary:
    """What `remanent check` says.

    Attributes
    ----------
    names
        How often each instrument, drug, placement, analyte, measure and event occurs, by table.
    lacking
        What the questions still need, in words.
    """

    root: str
    patients: tuple[PatientSummary, ...]
    names: Mapping[str, Mapping[str, int]]
    problems: tuple[ProblemGroup, ...]
    lacking: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: all can be used; 1: nothing can; 3: something was set aside or refused."""
        if not any(patient.usable for patient in self.patients):
            return 1
        return 3 if any(group.first.action != "used" for group in self.problems) else 0


def summarise(study: Study) -> Summary:
    """Count what can be used and group what cannot."""
    rows = {name: _by_participant(table) for name, table in study.tables.items()}
    scans = _scans(study)
    ids = study.tables["participants"]["participant_id"].tolist()
    healthy = set(parted(study.tables)[1]["participants"]["participant_id"])
    everybody = (_patient(participant, study.tables, rows, scans) for participant in ids)
    patients = tuple(replace(one, healthy=one.participant_id in healthy) for one in everybody)
    names = {
        table: dict(Counter(name for name in study.tables[table][column] if name is not None).most_common())
        for table, column in _NAMED_BY.items()
    }
    return Summary(
        str(study.root),
        patients,
        names,
        group_problems(study.problems),
        _lacking([one for one in patients if not one.healthy]),
    )


def _by_participant(table: Table) -> dict[str, np.ndarray]:
    people, code = np.unique(table["participant_id"].astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    return (
        dict(zip(people.tolist(), np.split(order, np.cumsum(np.bincount(code))[:-1]), strict=True))
        if len(people)
        else {}
    )


def _scans(study: Study) -> Counter[tuple[str, str]]:
    """Scan visits by participant and by what they show."""
    found: Counter[tuple[str, str]] = Counter()
    for session in study.sessions:
        kinds = {file.kind for file in session.files}
        found[session.participant_id, "function"] += bool(kinds & _FUNCTION)
        found[session.participant_id, "structure"] += bool(kinds & _STRUCTURE)
    return found


def _patient(
    participant: str,
    tables: Mapping[str, Table],
    rows: Mapping[str, Mapping[str, np.ndarray]],
    scans: Counter[tuple[str, str]],
) -> PatientSummary:
    none = np.empty(0, dtype=int)
    own = {name: rows[name].get(participant, none) for name in _RECORDS}
    days = tables["symptoms"]["day"][own["symptoms"]]
    doses = tables["medication"]
    bends = {
        float(day) for end in ("start_day", "stop_day") for day in doses[end][own["medication"]] if np.isfinite(day)
    }
    events = own["events"][np.argsort(tables["events"]["day"][own["events"]], kind="stable")]
    return PatientSummary(
        participant_id=participant,
        scans=(scans[participant, "function"], scans[participant, "structure"]),
        records={name: len(index) for name, index in own.items()},
        rating_span_days=(float(days.min()), float(days.max())) if len(days) else (np.nan, np.nan),
        dose_changes=len(bends),
        events=tuple(tables["events"]["event"][events].tolist()),
    )


def group_problems(problems: Sequence[Problem]) -> tuple[ProblemGroup, ...]:
    """Problems that differ only in row, file or what stands in quotation marks, together; losses first, then the most frequent."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        words = re.sub(r'"[^"]*"', '"..."', problem.problem)
        column = problem.column if problem.row != 1 else ""
        groups.setdefault((problem.action, column, words), []).append(problem)
    rank = {"refused": 0, "set_aside": 1, "used": 2}
    found = [ProblemGroup(group[0], len(group), len({p.file for p in group})) for group in groups.values()]
    return tuple(sorted(found, key=lambda group: (rank[group.first.action], -group.count)))


def _lacking(patients: Sequence[PatientSummary]) -> tuple[str, ...]:
    def number(test: Sequence[bool]) -> int:
        return sum(test)

    n = len(patients)
    followed = number([p.records["symptoms"] > 1 for p in patients])
    bent = number([p.dose_changes > 0 and p.records["symptoms"] > 1 for p in patients])
    structure = number([p.scans[1] > 1 for p in patients])
    ended = number([bool(p.events) for p in patients])
    relapsed = number(["relapse" in p.events for p in patients])
    treated = number([p.records["ect"] > 0 for p in patients])
    words = (
        (followed, "course: {} of {} participants have more than one symptom rating", "no course can be estimated"),
        (
            treated,
            "ECT: {} of {} have ECT sessions",
            "day 0 is then the first record, and no gain from ECT can be estimated",
        ),
        (
            bent,
            "mechanism: {} of {} have a dose that starts, changes or ends",
            "passive and active cannot be told apart",
        ),
        (
            structure,
            "mechanism: {} of {} have structure measured twice (QSIRecon, FreeSurfer)",
            "structure rests on the prior",
        ),
        (ended, "forecast: {} of {} have an event or an end of follow-up", "the risk of relapse cannot be learned"),
        (relapsed, "forecast: {} of {} have a relapse", "the risk of relapse rests on the prior"),
    )
    return tuple(said.format(count, n) + ("." if count else f": {without}.") for count, said, without in words)


def render(summary: Summary, *, everything: bool = False) -> str:
    """The summary as text: one screen, or `everything`."""
    patients_shown, groups_shown = (None, None) if everything else (PATIENTS_SHOWN, GROUPS_SHOWN)
    usable = sum(patient.usable for patient in summary.patients)
    head = [f"{summary.root}: {usable} of {len(summary.patients)} participants can be used", ""]
    healthy = sum(patient.healthy for patient in summary.patients)
    if healthy:
        head.insert(
            1, f"  {healthy} of them healthy: patients are compared with them, nothing is fitted to them or forecast"
        )
    patients, problems = _patients(summary.patients, patients_shown), _problems(summary.problems, groups_shown)
    parts = [head, _totals(summary), patients, problems, ["For the questions:"]]
    lines = [line for part in parts for line in part] + [f"  {words}" for words in summary.lacking]
    return "\n".join(lines) + "\n"


def _totals(summary: Summary) -> list[str]:
    """Participants and records by kind; kinds without any in one line."""
    counts = {label: [patient.scans[i] for patient in summary.patients] for i, label in enumerate(_SCANS)}
    counts |= {label: [patient.records[table] for patient in summary.patients] for table, label in _RECORDS.items()}
    names = {_RECORDS[table]: found for table, found in summary.names.items()}
    lines = [f"{'':<24}{'participants':>12}{'records':>10}"] if any(map(any, counts.values())) else []
    for label, own in counts.items():
        if any(own):
            often = ", ".join(f"{name} {n}" for name, n in list(names.get(label, {}).items())[:6])
            lines.append(f"  {label:<22}{sum(n > 0 for n in own):>12}{sum(own):>10}  {often}"[:WIDTH].rstrip())
    none = ", ".join(label for label, own in counts.items() if not any(own))
    return [*lines, *textwrap.wrap(f"  none: {none}" if none else "", WIDTH, subsequent_indent="        "), ""]


def _patients(patients: Sequence[PatientSummary], shown: int | None) -> list[str]:
    if not any(patient.kinds for patient in patients):
        return []
    worst = sorted(patients, key=lambda patient: (patient.usable, patient.kinds, patient.records["symptoms"]))
    head = f"{'participant':<18}{'function':>9}{'structure':>10}{'ratings':>9}{'days':>14}{'doses':>7}{'changes':>8}"
    lines = [f"{head}{'ECT':>5}{'labs':>6}{'sleep':>6}  events", *map(_line, worst[:shown])]
    if rest := len(worst[shown:]) if shown else 0:
        lines.append(f"  and {rest} more with as much or more: {_REST}")
    return [*lines, ""]


def _line(patient: PatientSummary) -> str:
    first, last = patient.rating_span_days
    span = "" if np.isnan(first) else f"{first:g} to {last:g}"
    n = patient.records
    label = patient.participant_id if len(patient.participant_id) <= 15 else f"{patient.participant_id[:12]}..."
    return (
        f"  {label:<16}{patient.scans[0]:>9}{patient.scans[1]:>10}{n['symptoms']:>9}{span:>14}{n['medication']:>7}"
        f"{patient.dose_changes:>8}{n['ect']:>5}{n['labs']:>6}{n['sleep']:>6}  {', '.join(('healthy',) * patient.healthy + patient.events)}"
    )[:WIDTH].rstrip()


def _problems(groups: Sequence[ProblemGroup], shown: int | None) -> list[str]:
    if not groups:
        return ["Problems: none", ""]
    counts = Counter({"refused": 0, "set_aside": 0, "used": 0})
    for group in groups:
        counts[group.first.action] += group.count
    lines = [
        f"Problems: {counts['refused']} refused, {counts['set_aside']} set aside, {counts['used']} used but to be looked at"
    ]
    for group in groups[:shown]:
        lines += _group(group)
    if rest := len(groups[shown:]) if shown else 0:
        lines.append(f"  and {rest} more kinds of problem: {_REST}")
    return [*lines, ""]


def _group(group: ProblemGroup) -> list[str]:
    first = group.first
    where = first.file + (f" line {first.row}" if first.row else "") + (f", {first.column}" if first.column else "")
    times = (
        ""
        if group.count == 1
        else f" (and {group.count - 1} more" + (f", {group.files} files)" if group.files > 1 else ")")
    )
    head = f"  {first.action.replace('_', ' ')}: {where}{times}"
    return [head, *textwrap.wrap(first.problem, WIDTH, initial_indent="      ", subsequent_indent="      ")]
