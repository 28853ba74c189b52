"""Values made comparable over months, sites and versions: everything about a feature that needs more than its own session."""

from collections.abc import Mapping
from dataclasses import dataclass

from remanent._errors import Problem
from remanent.stages.drift import flag_visits
from remanent.stages.phenotypes import with_tables
from remanent.study.store import Record
from remanent.study.table import Table


@dataclass(frozen=True)
class Comparable:
    """The features of a study, compared.

    Attributes
    ----------
    features
        As features.tsv has them.
    problems
        Visits that drifted.
    flags
        By participant, what a reader of its page must know.
    """

    features: Table
    problems: tuple[Problem, ...]
    flags: Mapping[str, tuple[str, ...]]

    @property
    def cohort_flags(self) -> tuple[str, ...]:
        """The same for the cohort page."""
        if not self.flags:
            return ()
        who = f"visits of {len(self.flags)} participants were not processed alike"
        return (f"{who}; their pages say what differs, features.tsv which values it touches",)


def compare(record: Record, tables: Mapping[str, Table]) -> Comparable:
    """Compare what is on record; problems found are put there."""
    drifted = flag_visits(record.features(), record.table("processing"))
    record.put_problems("drift", drifted.problems)
    flags = {
        who: tuple(f"{one}; a change at that visit may be the software's" for one in words)
        for who, words in drifted.words.items()
    }
    return Comparable(with_tables(drifted.features, tables), drifted.problems, flags)
