"""The model kept warm behind the pages: what a run fitted and drew, programs compiled in the background, patients made ready when they are asked about."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from remanent._errors import InputError, RemanentError
from remanent.app.answer import Answer, Lane, answers_of, difference
from remanent.app.asked import Asked, as_line, plan_of
from remanent.app.shelf import Shelf
from remanent.plan.decide import Thresholds, shipped_thresholds
from remanent.plan.plans import TAPER
from remanent.report.words import sentence
from remanent.stages.live import Base, load_base, one_patient, read_again, view_of
from remanent.stages.timelines import COMPARED_WITH
from remanent.study.store import Record

_NO_RECORD = "There is nothing to forecast from: this patient has no dated record that the model can use."


class NoAnswerError(Exception):
    """The model is not warmed up yet, or cannot be used, or the plan cannot; the words say which."""


@dataclass(frozen=True, slots=True)
class State:
    """Whether the model is ready; `failed`: why it never will be."""

    warming: bool = False
    words: str = ""
    failed: str = ""


@dataclass
class Workbench:
    """Holds what is warm: requests make the patient ready whom they need, in some tenths of a second."""

    out: Path
    record: Record
    shelf: Shelf
    thresholds: Mapping[str, Thresholds | None] | None = None
    state: State = field(default_factory=lambda: State(failed="the model was not started"))
    _base: Base | None = None
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _behind: dict[str, threading.Thread] = field(default_factory=dict)

    def start(self) -> None:
        """Warm up in the background."""
        self.state = State(warming=True, words="starting")
        self._in_background("warm-up", self.warm_up)

    def expect_entry(self) -> None:
        """Somebody is filling in a form: compile in the background, once, what the row will need. Nobody's what-if waits for it before."""
        if self._base is not None and not self.state.warming:
            self._in_background("expect-entry", self._be_ready_for_entries)

    @property
    def busy(self) -> bool:
        """Whether something runs in the background."""
        return any(thread.is_alive() for thread in self._behind.values())

    def finish(self) -> None:
        """Wait for what runs in the background: a program that is being compiled while the interpreter ends brings it down."""
        for thread in list(self._behind.values()):
            thread.join()

    def _in_background(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        if self._behind.setdefault(name, thread) is thread:
            thread.start()

    def warm_up(self) -> None:
        """Read, compare, compile on one patient, take in what was entered since the last run."""
        try:
            self._get_ready()
        except RemanentError as error:
            self.state = State(failed=str(error))
        except Exception as error:  # noqa: BLE001 - a thread's fault must reach the page; its words may hold a patient's values
            self.state = State(failed=f"a fault of this program ({type(error).__name__}); please report it")
        else:
            self.state = State()

    def _get_ready(self) -> None:
        self._base = load_base(self.record, self.out, self.thresholds, self._say)
        self._say("compiling")
        for first in list(self._base.lanes)[:1]:
            self._prepare(first)
        for participant_id in self._entered_since():
            self.take_in(participant_id)

    def _prepare(self, participant_id: str) -> None:
        lane = self._lane(participant_id)
        if lane is not None:
            answers_of(lane, [TAPER], self.thresholds or shipped_thresholds())

    def _be_ready_for_entries(self) -> None:
        base = self._base
        if base is not None and base.lanes:
            with suppress(RemanentError):
                one_patient(base, next(iter(base.lanes)), anew=True)

    def _say(self, said: str) -> None:
        self.state = State(warming=True, words=said)

    def _entered_since(self) -> list[str]:
        """Participants with rows entered after the last run wrote its results."""
        last = next(iter(self.record.last_audit(1, action="publish")), None)
        entries = self.record.last_audit(10_000, action="enter")
        changed = {one.subject for one in entries if last is None or one.seq > last.seq}
        people = self._base.panel.patients if self._base else ()
        return [who for who in people if changed and self.record.pseudonym(who) in changed]

    def take_in(self, participant_id: str) -> str:
        """Compute one patient anew from the record as it is now; in words, what came of it."""
        if self._base is None:
            return "The model is not warm yet: the patient's numbers follow when it is"
        if (readying := self._behind.get("expect-entry")) is not None:
            readying.join()  # it compiles what is needed here: the same twice at once would take twice as long
        with self._lock:
            self._base = base = read_again(self._base, self.record)
            self._lanes.pop(participant_id, None)
            if participant_id not in base.panel.patients:
                return f"It is {COMPARED_WITH}; `remanent run` takes the row in"
            one = one_patient(base, participant_id, anew=True)
            if one is None:
                return "The population fitted in the last run does not know this patient; `remanent run` takes them in"
            former = self.shelf.results.patient(participant_id)
            self._lanes[participant_id] = Lane(one)
            self.shelf.put(participant_id, *view_of(self._base, one, former))
        return "The patient's state, forecasts and advice were computed anew, under the population of the last run (no refit)"

    def answers(self, participant_id: str, *asked: Asked) -> list[Answer]:
        """Forecast and advice under each plan, as one page shows them.

        Raises
        ------
        NoAnswerError
            The model is being warmed up, there is nothing to forecast from, or a plan cannot be carried out.
        """
        if self.state.failed or self._base is None or self.state.warming:
            raise NoAnswerError(
                self.state.failed or f"The model is being warmed up ({self.state.words}). Try again in a moment."
            )
        lane = self._lane(participant_id)
        if lane is None:
            healthy = participant_id not in self._base.panel.patients
            raise NoAnswerError(sentence(COMPARED_WITH) if healthy else _NO_RECORD)
        try:
            plans = [plan_of(one, lane.one) for one in asked]
            found = answers_of(lane, plans, self.thresholds or shipped_thresholds())
        except InputError as error:
            raise NoAnswerError(f"This plan cannot be forecast: {error.got}. {error.why} {error.do}") from error
        return [replace(answer, line=as_line(one, lane.one)) for answer, one in zip(found, asked, strict=True)]

    def difference(self, participant_id: str, first: Asked, second: Asked) -> str:
        """Plan A less plan B, in words; both were answered."""
        lane = self._lane(participant_id)
        return "" if lane is None else difference(lane, plan_of(first, lane.one), plan_of(second, lane.one))

    def _lane(self, participant_id: str) -> Lane | None:
        """A patient made ready from the draws that the run kept, or as taken in since."""
        found, base = self._lanes.get(participant_id), self._base
        if found is not None or base is None or participant_id not in base.panel.patients:
            return found
        one = one_patient(base, participant_id)
        return None if one is None else self._lanes.setdefault(participant_id, Lane(one))
