"""`remanent check`: a study's usable content, or the integrity of results."""

from collections.abc import Sequence
from pathlib import Path

from remanent._errors import InputError
from remanent.stages.measure import read
from remanent.study.check import render, summarise
from remanent.study.outputs import is_ours
from remanent.study.store import Record


def check(path: Path, participants: Sequence[str], *, everything: bool = False) -> tuple[str, int]:
    """Text for the terminal and the exit code: 0 usable or intact, 1 nothing usable or not intact, 3 usable with losses."""
    if is_ours(path):
        return _check_results(path)
    if not path.is_dir():
        raise InputError("there is no such folder", where=str(path), do="Give the folder of a BIDS study.")
    summary = summarise(read(path, participants))
    return render(summary, everything=everything), summary.exit_code


def _check_results(out: Path) -> tuple[str, int]:
    with Record.open(out, create=False) as record:
        faults = record.verify()
        head = record.head
    if faults:
        return "\n".join([f"{out}: NOT INTACT", *faults]), 1
    return f"{out}: intact; every row, file and audit entry matches its hash. Head of the audit: {head}", 0
