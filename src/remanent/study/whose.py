"""Whose row of a table a problem is about, told from the row itself, so that one that cannot be cut into cells has an owner too."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from remanent._errors import Problem
from remanent.study.rules import as_participant
from remanent.study.tsv import read_lines


def with_participants(problems: Sequence[Problem], root: Path, people: Collection[str]) -> tuple[Problem, ...]:
    """The problems, those with a line of a file of the study under the participant of that line."""
    lines: dict[str, list[str]] = {}
    for problem in problems:
        if _has_line(problem) and problem.file not in lines:
            lines[problem.file] = read_lines(root / problem.file)
    whose = [_of_line(lines[p.file], p.row, people) if _has_line(p) and p.row else "" for p in problems]
    return tuple(replace(p, participant_id=p.participant_id or who) for p, who in zip(problems, whose, strict=True))


def _has_line(problem: Problem) -> bool:
    """Whether a problem is about a line below the header."""
    return problem.row is not None and problem.row > 1


def _of_line(lines: Sequence[str], row: int, people: Collection[str]) -> str:
    """The participant of a line; of one with another number of cells than the header has, whichever cell names one."""
    if row > len(lines):
        return ""
    header, cells = ([cell.strip().strip('"') for cell in lines[i].split("\t")] for i in (0, row - 1))
    names = [name.casefold() for name in header]
    if len(cells) == len(header) and "participant_id" in names:
        cells = [cells[names.index("participant_id")]]
    return next((who for who in map(as_participant, cells) if who in people), "") or ""
