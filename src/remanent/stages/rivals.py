"""`remanent run --rivals`: every way to forecast relapse on the same patients and landmarks, out of fold, with and without scans; and subtypes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from remanent.relapse.landmark import Landmarks, People, at_risk, landmarks
from remanent.relapse.learn import Fold, Learned, compete, folds
from remanent.relapse.score import Outcome, patient_weights
from remanent.relapse.subtypes import Subtypes, find_subtypes
from remanent.stages.analyse import Results
from remanent.stages.out_of_fold import Mechanistic, Source, mechanistic
from remanent.stages.outcome import learnt_from
from remanent.stages.scans import SEX_CODE
from remanent.study.table import Table

LANDMARK_DAYS = (28.0, 91.0, 182.0)
HORIZONS = (91.0, 182.0)
OUTER = 5
RESAMPLES = 300
LEAST_AT_RISK, LEAST_RELAPSES = 10, 5


@dataclass(frozen=True)
class Competitor:
    """Out-of-fold forecasts of one way to forecast.

    Attributes
    ----------
    imaging
        ``with`` or ``without`` what scans showed.
    risk
        Probability of relapse by each day, [row, day].
    note
        How it was made, or why it was not run.
    ran
        Whether it was.
    """

    model: str
    imaging: str
    risk: np.ndarray
    note: str
    ran: bool = True
    learned: Learned | None = None


@dataclass(frozen=True)
class Scored:
    """Rows that one horizon can be scored on: landmarks whose patients were followed beyond it."""

    horizon_days: float
    rows: np.ndarray
    known: Outcome
    weight: np.ndarray


@dataclass(frozen=True)
class Rivalry:
    """Everything the comparison found; `lacking` says in words why there is none, and is empty where there is one."""

    patients: tuple[str, ...] = ()
    rows: Landmarks | None = None
    outer: tuple[Fold, ...] = ()
    competitors: tuple[Competitor, ...] = ()
    scored: tuple[Scored, ...] = ()
    subtypes: Subtypes | None = None
    subtyped: tuple[str, ...] = ()
    seed: int = 0
    lacking: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


def rivalry(
    tables: Mapping[str, Table], features: Table, results: Results, *, seed: int, log: Callable[..., None]
) -> Rivalry:
    """Compare forecasts on landmarks of the study's patients, whose tables and features these are; whose doses are not known is left out."""
    whole, known = results.panel, learnt_from(results.panel, results.unknown_doses)
    subtypes, subtyped = _subtypes(results, seed)
    kinds = Rivalry(
        patients=tuple(p for p, k in zip(whole.patients, known, strict=True) if k),
        subtypes=subtypes,
        subtyped=subtyped,
        seed=seed,
    )
    slots, steps, lanes = results.timeline.grid.value.shape
    source = Source(tables, features if len(features) else None, whole, results.design.breaks, (slots, steps, lanes))
    source = source if known.all() else source.only(kinds.patients)
    rows = _landmarks(source)
    if rows is None:
        words = f"relapses on record, or patients at risk at a landmark, are too few (at least {LEAST_RELAPSES} and {LEAST_AT_RISK})"
        return replace(kinds, lacking=f"Forecasts were not compared: {words}.")
    scored = _scored(rows, seed)
    if not scored:
        words = f"no landmark has patients known to be without relapse {min(HORIZONS):.0f} days later"
        return replace(kinds, lacking=f"Forecasts were not compared: {words}.")
    outer = folds(rows, OUTER, np.random.default_rng(seed))
    log("rivals", rows=len(rows), folds=len(outer), features=len(rows.names))
    learned = compete(rows, outer, seed)
    competitors = [_of_rival(key, one, rows) for key, one in learned.items()]
    seconds = {}
    imaged = bool(rows.circuit.any())
    for imaging in ("with", "without")[not imaged :]:
        own = source if imaging == "with" else replace(source, features=None)
        made = mechanistic(own, rows, outer, seed, log)
        competitors.append(Competitor("mechanistic", imaging, made.risk, _how(made)))
        seconds[imaging] = made.seconds
    return replace(kinds, rows=rows, outer=outer, competitors=tuple(competitors), scored=scored, seconds=seconds)


def _how(made: Mechanistic) -> str:
    return f"fitted anew in every fold, {made.converged} of {made.fits} fits converged, {made.seconds:.0f} s"


def _of_rival(key: str, one: Learned, rows: Landmarks) -> Competitor:
    model, imaging = key.split("/")
    imaging = imaging if one.rival.uses_circuits and rows.circuit.any() else "without"
    chosen = "; ".join(dict.fromkeys(_words(setting) for setting in one.chosen if setting))
    note = one.missing or (one.rival.words + (f"; chosen: {chosen}" if chosen else ""))
    return Competitor(model, imaging, one.risk, note, ran=not one.missing, learned=one)


def _words(setting: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in setting.items())


def _landmarks(source: Source) -> Landmarks | None:
    known, whole = {}, source.whole
    for day in LANDMARK_DAYS:
        there = at_risk(whole, day)
        if there.sum() >= LEAST_AT_RISK:
            known[day] = source.as_of(day, [p for p, at in zip(whole.patients, there, strict=True) if at])
    if not known:
        return None
    rows = landmarks(whole, known, _people(source.tables["participants"]))
    relapsed = len(np.unique(rows.patient[rows.event]))
    return rows if relapsed >= LEAST_RELAPSES else None


def _people(table: Table) -> People:
    age = table["age"].astype(float)
    sex = np.array([SEX_CODE.get(s or "", np.nan) for s in table["sex"]], float)
    return People(age, sex, tuple(str(s or "") for s in table["site"]))


def _scored(rows: Landmarks, seed: int) -> tuple[Scored, ...]:
    """For each horizon, the landmarks at which it can be scored; no entry where there are none."""
    found = []
    for horizon in HORIZONS:
        kept = np.zeros(len(rows), bool)
        for day in np.unique(rows.day):
            here = rows.day == day
            kept |= here & (rows.time_days[here] > horizon).any()
        if not kept.any():
            continue
        known = rows.only(kept).outcome
        weight = patient_weights(known.patient, RESAMPLES, np.random.default_rng(seed))
        found.append(Scored(horizon, np.flatnonzero(kept), known, weight))
    return tuple(found)


def _subtypes(results: Results, seed: int) -> tuple[Subtypes, tuple[str, ...]]:
    """Kinds of patients by today's states and by how far their own records speak for each mechanism."""
    lanes = np.flatnonzero(results.fitted)
    last = results.timeline.steps[lanes] - 1
    x = results.states.smoothed
    odds = np.stack([f.patient_log_lik[lanes] for f in results.posterior.fits], axis=1)
    found = find_subtypes(
        np.column_stack([x.f_mean[last, lanes], x.s_mean[last, lanes], (odds - odds[:, :1])[:, 1:]]),
        np.random.default_rng(seed),
    )
    return found, tuple(results.panel.patients[i] for i in results.timeline.lanes[lanes])
