"""The results of OUT in memory: read once, read again when a run has written them anew, overlaid with what was computed since by the app."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from remanent._errors import InputError
from remanent.app.settings import User
from remanent.report.views import CohortRow, CohortView, PatientView
from remanent.stages.publish import view_name
from remanent.stages.results import SavedResults, load
from remanent.study.store import Record


@dataclass(frozen=True)
class Person:
    """One line of the patient list: the row of the cohort page, and who it is about."""

    row: CohortRow
    site: str
    diagnosis: str


@dataclass(frozen=True)
class _State:
    stamp: int
    results: SavedResults
    people: Mapping[str, Person]


@dataclass
class Shelf:
    """What is shown. `live` holds views that are newer than the last run, by participant."""

    out: Path
    record: Record
    live: dict[str, tuple[PatientView, CohortRow]] = field(default_factory=dict)
    _state: _State | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _current(self) -> _State:
        try:
            stamp = (self.out / view_name("cohort")).stat().st_mtime_ns
        except OSError:
            stamp = 0
        with self._lock:
            if self._state is None or self._state.stamp != stamp:
                fresh = self._state is not None
                self._state = _State(stamp, *self._read())
                if fresh:
                    self.live.clear()  # a run has taken in what was entered before it
            return self._state

    def _read(self) -> tuple[SavedResults, Mapping[str, Person]]:
        results, table = load(self.out), self.record.table("participants")
        about = {
            who: (site or "", diagnosis or "")
            for who, site, diagnosis in zip(table["participant_id"], table["site"], table["diagnosis"], strict=True)
        }
        rows = results.cohort.rows
        return results, {row.participant_id: Person(row, *about.get(row.participant_id, ("", ""))) for row in rows}

    @property
    def results(self) -> SavedResults:
        """Results of the last run."""
        return self._current().results

    @property
    def cohort(self) -> CohortView:
        """The index page of the last run."""
        return self._current().results.cohort

    @property
    def stamp(self) -> int:
        """Changes when a run has written results anew."""
        return self._current().stamp

    def people(self, user: User) -> list[Person]:
        """Everyone whom a user may see, in the order of the index page."""
        return [self._newest(person) for person in self._current().people.values() if user.sees(person.site)]

    def _newest(self, person: Person) -> Person:
        newer = self.live.get(person.row.participant_id)
        return person if newer is None else replace(person, row=newer[1])

    def person(self, user: User, participant_id: str) -> Person | None:
        """One of them; None for others' patients and for nobody, which must look the same."""
        found = self._current().people.get(participant_id)
        return self._newest(found) if found is not None and user.sees(found.site) else None

    def view(self, participant_id: str) -> PatientView:
        """The newest view of a participant.

        Raises
        ------
        InputError
            Its file is missing or damaged.
        """
        if participant_id in self.live:
            return self.live[participant_id][0]
        found = self._current().results.patient(participant_id)
        if not isinstance(found, PatientView):
            raise InputError("holds no patient", where=view_name(participant_id))
        return found

    def put(self, participant_id: str, view: PatientView, row: CohortRow) -> None:
        """Lay a newer view over that of the last run."""
        self.live[participant_id] = (view, row)

    def is_live(self, participant_id: str) -> bool:
        """Whether the view is newer than the last run."""
        return participant_id in self.live
