"""What was not as it should be, as problems.tsv: all a run of the participant level has to show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remanent._errors import Problem
from remanent.study.outputs import write_table
from remanent.study.schema import OUTPUT
from remanent.study.store import Record


def problem_columns(problems: Sequence[Problem]) -> Mapping[str, list[Any]]:
    """Problems by column; what is empty is missing."""
    return {name: [getattr(p, name) or None for p in problems] for name in OUTPUT["problems"].column}


def write_problems(record: Record, out: Path) -> None:
    """Write problems.tsv as the record has them now."""
    record.put_file(write_table(out, "problems", problem_columns(record.problems())))
