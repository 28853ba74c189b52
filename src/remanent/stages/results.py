"""Results read back from an OUT folder, and the figures of the pages as matplotlib figures for papers: `remanent.load`, `remanent.plot_*`.

>>> results = remanent.load("OUT")  # doctest: +SKIP
>>> remanent.plot_timeline(results, "sub-01").savefig("course.pdf")  # doctest: +SKIP
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from remanent._errors import InputError, UsageError
from remanent.report import cohort_figures, figures, paper, timeline
from remanent.report.saved import from_json
from remanent.report.sheet import Sheet
from remanent.report.svg import svg
from remanent.report.theme import message
from remanent.report.views import CohortView, PatientView
from remanent.report.words import cannot_say, under_fit
from remanent.stages.publish import view_name
from remanent.study.outputs import is_ours
from remanent.study.record.files import write_whole


@dataclass(frozen=True)
class SavedResults:
    """The results in one OUT folder, as its pages show them.

    Attributes
    ----------
    out
        The folder.
    cohort
        What the index page shows; `participants` lists who is in it.
    """

    out: Path
    cohort: CohortView

    @cached_property
    def participants(self) -> tuple[str, ...]:
        """Everyone in the study, in the order of the index page."""
        return tuple(row.participant_id for row in self.cohort.rows)

    def patient(self, participant_id: str) -> PatientView:
        """What the page of one participant shows; with or without ``sub-``.

        Raises
        ------
        UsageError
            Nobody of this name is in the study.
        """
        who = participant_id if participant_id.startswith("sub-") else f"sub-{participant_id}"
        if who not in self.participants:
            raise UsageError("no such participant in these results", do=f"Known are {_some(self.participants)}.")
        found = _read(self.out, who)
        if not isinstance(found, PatientView):
            raise InputError("holds no patient", where=str(self.out / view_name(who)))
        return found


def load(out: str | Path) -> SavedResults:
    """Read the results of a run.

    Raises
    ------
    InputError
        There are none, or they were written by another version.
    """
    folder = Path(out)
    if not is_ours(folder):
        raise InputError("holds no results", where=str(folder), do="Run `remanent run STUDY OUT` first.")
    cohort = _read(folder, "cohort")
    if not isinstance(cohort, CohortView):
        raise InputError("holds no cohort", where=str(folder / view_name("cohort")))
    return SavedResults(folder, cohort)


def _read(out: Path, name: str) -> Any:
    path = out / view_name(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        why = "Results of an earlier version have no such file."
        raise InputError(
            "cannot be read", where=str(path), why=why, do="Run `remanent update OUT STUDY` once."
        ) from error
    return from_json(content, str(path))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def _timeline(results: SavedResults, participant_id: str) -> Sheet:
    view = results.patient(participant_id)
    informed = under_fit(view.states.basis, view.fit).informed
    return timeline.plot_timeline(view.timeline, view.states if informed else None)


def _states(results: SavedResults, participant_id: str) -> Sheet:
    view = results.patient(participant_id)
    basis = under_fit(view.states.basis, view.fit)
    if not basis.informed or not view.states.days.size:
        return message(cannot_say(basis) or "No states were computed.")
    return timeline.plot_states(view.states)


def _forecast(results: SavedResults, participant_id: str) -> Sheet:
    view = results.patient(participant_id)
    basis = under_fit(view.forecasts.basis, view.fit)
    return figures.plot_forecasts(view.forecasts) if basis.informed else message(cannot_say(basis))


def _remanence(results: SavedResults, participant_id: str) -> Sheet:
    view = results.patient(participant_id)
    basis = under_fit(view.remanence.basis, view.fit)
    return figures.plot_remanence(view.remanence) if basis.informed else message(cannot_say(basis))


def _features(results: SavedResults, participant_id: str) -> Sheet:
    view = results.patient(participant_id)
    return figures.plot_indicators(view.indicators, view.timeline)


def _mechanisms(results: SavedResults, participant_id: str | None = None) -> Sheet:
    source = results.cohort if participant_id is None else results.patient(participant_id)
    if source.fit.converged is False:
        return message("The fit did not converge, so its numbers are not findings.")
    return figures.plot_mechanisms(source.mechanisms)


def _follow_up(results: SavedResults) -> Sheet:
    return cohort_figures.plot_follow_up(results.cohort)


def _holds(results: SavedResults) -> Sheet:
    if results.cohort.fit.converged is False or all(row.hold is None for row in results.cohort.rows):
        return message("These data cannot say who would hold without drugs.")
    return cohort_figures.plot_holds(results.cohort)


PATIENT_FIGURES: Mapping[str, Callable[[SavedResults, str], Sheet]] = {
    "timeline": _timeline,
    "states": _states,
    "forecast": _forecast,
    "remanence": _remanence,
    "mechanisms": _mechanisms,
    "features": _features,
}
COHORT_FIGURES: Mapping[str, Callable[[SavedResults], Sheet]] = {
    "follow-up": _follow_up,
    "holds": _holds,
    "mechanisms": _mechanisms,
}


def plot_timeline(results: SavedResults, participant_id: str) -> Figure:
    """A participant's course: what was done, what was observed, and, where data inform them, function and structure with 90 % bands."""
    return paper.figure(_timeline(results, participant_id))


def plot_states(results: SavedResults, participant_id: str) -> Figure:
    """Function and structure of a participant over time, posterior means with 90 % bands; in words where the data do not inform them."""
    return paper.figure(_states(results, participant_id))


def plot_forecast(results: SavedResults, participant_id: str) -> Figure:
    """Probability of relapse from the participant's last record under each plan, mean and 90 % band."""
    return paper.figure(_forecast(results, participant_id))


def plot_remanence(results: SavedResults, participant_id: str) -> Figure:
    """What remains after all drugs are withdrawn: of the function, and as the probability of no relapse (mean, 90 % interval)."""
    return paper.figure(_remanence(results, participant_id))


def plot_features(results: SavedResults, participant_id: str) -> Figure:
    """Features of a participant's scans as observed (90 % sampling intervals) against what the fitted model expects."""
    return paper.figure(_features(results, participant_id))


def plot_mechanisms(results: SavedResults, participant_id: str | None = None) -> Figure:
    """Probability of each mechanism beside its prior, of one participant or (None) of the cohort."""
    return paper.figure(_mechanisms(results, participant_id))


def plot_follow_up(results: SavedResults) -> Figure:
    """Follow-up of every participant on one time axis."""
    return paper.figure(_follow_up(results))


def plot_holds(results: SavedResults) -> Figure:
    """Probability that each participant would hold without drugs, with 90 % intervals, where data inform it."""
    return paper.figure(_holds(results))


def draw(sheet: Sheet, kind: str, name: str) -> bytes:
    """A figure as PDF, PNG (200 dots per inch) or SVG; the same figure gives the same bytes."""
    if kind == "svg":
        return svg(sheet, name, name, f"Figure {name}, made by Remanent. Research use only.").encode()
    target = BytesIO()
    metadata = {"CreationDate": None} if kind == "pdf" else None
    paper.figure(sheet).savefig(target, format=kind, dpi=200, metadata=metadata)
    return target.getvalue()


def export(out: Path, folder: Path, kind: str, participants: tuple[str, ...] = ()) -> str:
    """Write every figure of the cohort and of the participants (empty: all) to a folder; in words, what was written.

    Raises
    ------
    InputError, UsageError
        There are no results, a participant is unknown, or the folder cannot be written.
    """
    results = load(out)
    people = [results.patient(who).participant_id for who in participants] or list(results.participants)
    figures_of = {f"{who}_{name}": (plot, who) for who in people for name, plot in PATIENT_FIGURES.items()}
    for name, (plot, who) in figures_of.items():
        write_whole(folder / f"{name}.{kind}", draw(plot(results, who), kind, name))
    cohort = {} if participants else COHORT_FIGURES
    for name, of_cohort in cohort.items():
        write_whole(folder / f"cohort_{name}.{kind}", draw(of_cohort(results), kind, name))
    made = len(figures_of) + len(cohort)
    return f"{made} figures written to {folder}."
