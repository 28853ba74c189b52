"""Whose forecast cannot be relied on whatever the model says: doses that are not fully known, a relapse or a death on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from remanent._errors import Problem
from remanent.study.rules import as_participant
from remanent.study.table import Table

MEDICATION = "phenotype/medication.tsv"


@dataclass(frozen=True)
class Standing:
    """What the record says of patients beside numbers.

    Attributes
    ----------
    void
        By participant, why no forecast can be relied on, in words.
    relapse_day
        Day of the first relapse on record, by participant.
    dead
        Participants whose death is on record.
    unknown_doses
        Participants of whom it is not fully known what they were given: they say nothing of what a drug does.
    """

    void: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relapse_day: Mapping[str, float] = field(default_factory=dict)
    dead: frozenset[str] = frozenset()
    unknown_doses: frozenset[str] = frozenset()

    def gone(self, participant: str) -> bool:
        """Whether someone is no longer at risk of a first relapse."""
        return participant in self.relapse_day or participant in self.dead


def incomplete_doses(problems: Sequence[Problem]) -> list[Problem]:
    """For each participant of whom medication rows were set aside, what follows from it; `column` is medication, and there is no row."""
    lost: dict[str, set[int]] = {}
    for p in problems:
        if p.action == "set_aside" and p.row is not None and p.participant_id and p.file.casefold() == MEDICATION:
            lost.setdefault(p.participant_id, set()).add(p.row)
    return [
        Problem(MEDICATION, None, "medication", _incomplete(rows), "used", who) for who, rows in sorted(lost.items())
    ]


def _incomplete(rows: set[int]) -> str:
    lines = ", ".join(map(str, sorted(rows)[:10])) + (" and more" if len(rows) > 10 else "")
    return (
        f"medication rows were set aside (lines {lines} of {MEDICATION}), so what was given is not fully known and no advice is given: "
        "correct them, or remove drugs that have no bearing on the illness"
    )


def still_incomplete(known: Sequence[Problem], read: Sequence[str]) -> list[Problem]:
    """Problems of `incomplete_doses` on participants who were not read again."""
    return [p for p in known if _is_incomplete(p) and _whose(p) not in set(read)]


def _is_incomplete(problem: Problem) -> bool:
    return problem.column == "medication" and problem.row is None and as_participant(_whose(problem)) == _whose(problem)


def _whose(problem: Problem) -> str:
    """The participant; a record of an older run has it as the file."""
    return problem.participant_id or problem.file


def standing(
    tables: Mapping[str, Table], problems: Sequence[Problem], derived: Mapping[str, float] | None = None
) -> Standing:
    """What the record's tables and problems say against forecasts; `derived`: relapses by a rule, where the study records none."""
    void: dict[str, list[str]] = {}
    refused = [p.problem for p in problems if p.action == "refused" and p.file.casefold() == MEDICATION]
    if refused and not len(tables["medication"]):
        for who in tables["participants"]["participant_id"]:
            void.setdefault(who, []).append(
                f"the medication table could not be read, so doses are not known: {refused[0]}"
            )
    for problem in filter(_is_incomplete, problems):
        void.setdefault(_whose(problem), []).append(problem.problem)
    unknown = frozenset(void)
    relapse_day, death_day = (_first_day(tables["events"], event) for event in ("relapse", "death"))
    for who in death_day:
        void.setdefault(who, []).append("a death is on record")
    reasons = {who: tuple(why) for who, why in void.items()}
    return Standing(reasons, {**(derived or {}), **relapse_day}, frozenset(death_day), unknown)


def without_records(people: Table, last_day: np.ndarray) -> list[Problem]:
    """Participants of whom there is nothing dated; `last_day` is the panel's, in the order of `people`."""
    why = "has no dated rating, scan, treatment or event that can be used, so there is no result. Add records, or remove the row."
    return [
        Problem(people.file[i], int(people.row[i]), "participant_id", f'"{who}" {why}', "set_aside", who)
        for i, who in enumerate(people["participant_id"].tolist())
        if np.isnan(last_day[i])
    ]


def _first_day(events: Table, event: str) -> dict[str, float]:
    rows = np.flatnonzero(events["event"].astype(str) == event)
    latest_first = rows[np.argsort(-events["day"][rows], kind="stable")]
    return {events["participant_id"][row]: float(events["day"][row]) for row in latest_first}
