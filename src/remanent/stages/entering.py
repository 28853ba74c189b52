"""How the patients of a fitted study stood after ECT: when they were first rated and since when they took drugs, so that virtual ones enter a trial alike."""

from pathlib import Path

import numpy as np

from remanent.stages.cohort import cohort_of
from remanent.study.panel import Panel
from remanent.study.store import Record
from remanent.treatment.drugs import NOT_DRUGS, find
from remanent.trial.world import Entry

LATEST_DAY = 28.0  # a first rating after it says how patients are weeks after ECT


def entry_of_study(out: Path, at_most: float | None) -> Entry:
    """The entry into a trial of a population fitted in this folder; as in published trials, at the last session and off drugs, where no record lies there."""
    if not (out / "study.sqlite").is_file():
        return Entry(at_most)
    with Record.open(out, create=False) as record:
        panel = cohort_of(record.tables(), record.features()).panel
    return entry_of(panel, at_most)


def entry_of(panel: Panel, at_most: float | None) -> Entry:
    """That of the median patient: the day of the first rating after the last session, and since when a drug had been taken by then."""
    rated = np.array([_first(panel.symptoms.patient, panel.symptoms.day, i) for i in range(len(panel.patients))])
    day = min(_median(rated[np.isfinite(rated)], 0.0), LATEST_DAY)
    since = np.array([_on_since(panel, i, day) for i in range(len(panel.patients))])
    first_session = Entry().sessions[0]
    from_day = min(_median(since, np.inf), day)
    return Entry(at_most, day, from_day if np.isneginf(from_day) else max(from_day, first_session))


def _first(patient: np.ndarray, days: np.ndarray, i: int) -> float:
    return float(np.min(days[(patient == i) & (days >= 0)], initial=np.inf))


def _on_since(panel: Panel, i: int, day: float) -> float:
    """First day on a drug that was still taken on `day`; -inf: since before the first record; inf: none was."""
    doses = panel.doses
    on = (doses.patient == i) & (doses.dose_mg_day > 0) & (doses.start_day <= day) & (doses.stop_day > day)
    known = [find(str(drug)) for drug in doses.drug[on]]
    counts = np.array([one is not None and one.drug_class not in NOT_DRUGS for one in known], bool)
    since = float(np.min(doses.start_day[on][counts], initial=np.inf))
    return -np.inf if since <= panel.first_day[i] else since


def _median(values: np.ndarray, empty: float) -> float:
    """The middle value, the lower of two: infinities have no mean."""
    return float(np.sort(values)[(values.size - 1) // 2]) if values.size else empty
