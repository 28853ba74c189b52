"""What can go wrong, in words.

Every message says what was got, where, why it matters and what to do. Exceptions stop the program and are for input that cannot be used at all
(`InputError`, exit 1) or a call that makes no sense (`UsageError`, exit 2). Everything smaller is a `Problem`: a value that travels to problems.tsv.
"""

from dataclasses import dataclass
from typing import Literal

Action = Literal["used", "set_aside", "refused"]


class RemanentError(Exception):
    """Root of the tree. `exit_code` is the process's answer (CONTRACT: 0 done, 1 unusable input, 2 wrong usage, 3 finished with losses)."""

    exit_code = 1

    def __init__(self, got: str, *, where: str = "", why: str = "", do: str = "") -> None:
        self.got, self.where, self.why, self.do = got, where, why, do
        super().__init__(_sentence(got, where, why, do))


class InputError(RemanentError):
    """The study, a record or a file cannot be used."""


class UsageError(RemanentError):
    """The command or call itself is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be, and what was done about it; a row of problems.tsv.

    Attributes
    ----------
    file
        Path relative to the study; what is no file of the study (one of OUT, a plans file) by its name.
    row
        Line number in that file, the header being line 1; None where no row is meant.
    column
        Column, matrix entry or header field; empty where none is meant.
    problem
        What was got, why it matters and what to do, in one sentence or two, without patient values that could identify anyone.
    action
        ``used`` (kept, but look at it), ``set_aside`` (this row or value takes no part), ``refused`` (the file or column is not read).
    participant_id
        Whose row or file it is; empty where it is nobody's or everybody's.
    """

    file: str
    row: int | None
    column: str
    problem: str
    action: Action
    participant_id: str = ""


def _sentence(got: str, where: str, why: str, do: str) -> str:
    parts = [f"{where}: {got}" if where else got, why, do]
    return " ".join(p if p.endswith((".", "!", "?")) else p + "." for p in parts if p)
