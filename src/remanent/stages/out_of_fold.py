"""The mechanistic model beside the rivals: fitted anew on the training patients of every fold, then a filter pass over what was known of the others.

No number of a held-out patient reaches the fit: not a rating, not the scale of a measure. At each landmark the filter sees the record as of that day; the
forecast is for the doses as they stand then, for nobody knew the later ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np

from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import build_timeline, look_ahead, medication_of
from remanent.dynamics.infer import fit, without_runaways
from remanent.dynamics.priors import layout
from remanent.plan.simulate import STANDARD_PLANS, planned_exposure
from remanent.relapse.landmark import Landmarks
from remanent.relapse.learn import Fold
from remanent.relapse.predict import EDGES_DAYS, kept, posterior_ensemble, relapse_probability
from remanent.stages.analyse import Population
from remanent.stages.early_warning import with_measures
from remanent.study.as_of import as_of
from remanent.study.panel import Panel, build_panel
from remanent.study.people import of_people
from remanent.study.table import Table

DRAWS = 60
_FEATURES = "features"


@dataclass(frozen=True)
class Source:
    """The patients of a study: tables, features (None: without scans), and the panel of all of it: its outcomes count, and the order of its patients.

    `breaks`: days on which the hazard may change, as in the run's own fit. `room`: slots, steps and lanes of its grid; every fold's is padded to them, so
    that one set of programs serves all folds and landmarks.
    """

    tables: Mapping[str, Table]
    features: Table | None
    whole: Panel
    breaks: tuple[float, ...] = ()
    room: tuple[int, int, int] = (0, 0, 0)

    @property
    def patients(self) -> tuple[str, ...]:
        """Everybody in it."""
        return self.whole.patients

    def of(self, patients: Sequence[str]) -> Panel:
        """Everything about these patients, and nothing about others."""
        panel = _panel(of_people(self._every(), patients))
        place = np.array([self.patients.index(p) for p in panel.patients], int)
        outcomes = ("risk_end_day", "relapsed", "dropped_out")
        return replace(panel, **{name: getattr(self.whole, name)[place] for name in outcomes})

    def only(self, patients: Sequence[str]) -> "Source":
        """The same of these patients alone."""
        kept = of_people(self._every(), patients)
        features = kept.pop(_FEATURES, None)
        return replace(self, tables=kept, features=features, whole=self.of(patients))

    def as_of(self, day: float, watched: Sequence[str], patients: Sequence[str] | None = None) -> Panel:
        """What was known on `day` of some patients (None: all), those `watched` being without relapse."""
        tables = self._every()
        return _panel(as_of(tables if patients is None else of_people(tables, patients), day, watched))

    def _every(self) -> dict[str, Table]:
        return {**self.tables, **({} if self.features is None else {_FEATURES: self.features})}


def _panel(tables: Mapping[str, Table]) -> Panel:
    """As `stages.run` builds it."""
    return with_measures(build_panel({k: v for k, v in tables.items() if k != _FEATURES}, tables.get(_FEATURES)))


@dataclass(frozen=True)
class Mechanistic:
    """Out-of-fold forecasts, [row, day] as the rivals'; how many of the fits converged, and seconds it took."""

    risk: np.ndarray
    converged: int
    fits: int
    seconds: float


def mechanistic(
    source: Source, rows: Landmarks, outer: Sequence[Fold], seed: int, log: Callable[..., None]
) -> Mechanistic:
    """Forecast of every landmark row by a fit that never saw its patient."""
    began, risk = monotonic(), np.full((len(rows), len(EDGES_DAYS) - 1), np.nan)
    converged = fits = 0
    for k, fold in enumerate(outer):
        tested = set(rows.patient[fold.test].tolist())
        train = [p for i, p in enumerate(source.patients) if i not in tested]
        design, posterior = _population(source.of(train), source)
        converged, fits = converged + sum(f.converged for f in posterior.fits), fits + len(posterior.fits)
        for day in np.unique(rows.day[fold.test]):
            here = np.flatnonzero(fold.test & (rows.day == day))
            who = [source.patients[i] for i in rows.patient[here]]
            told = _forecast(source.as_of(float(day), who, who), (design, posterior), seed + k, source.room)
            risk[here] = np.stack([told[one] for one in who])
        log("fold", number=k + 1, of=len(outer), seconds_so_far=round(monotonic() - began, 1))
    return Mechanistic(risk, converged, fits, monotonic() - began)


def _population(panel: Panel, source: Source) -> Population:
    design = choose_design(panel, source.breaks)
    grid = build_timeline(panel, design, source.room).grid
    return design, without_runaways(fit(layout(design), grid), grid)


def _forecast(panel: Panel, fitted: Population, seed: int, room: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Probability of relapse by each day ahead on doses as they stand, by participant."""
    design, posterior = fitted
    timeline = build_timeline(panel, design, room)
    evidence = np.array([f.log_evidence for f in posterior.fits])
    weight = np.exp(evidence - evidence.max())
    weights = np.repeat((weight / weight.sum())[None], len(timeline.lanes), 0)
    given = [medication_of(panel, int(i)) for i in timeline.lanes]
    dose = planned_exposure(STANDARD_PLANS["continue"], given, timeline.today, EDGES_DAYS)
    ensemble = posterior_ensemble(posterior, timeline.grid, weights, DRAWS, np.random.default_rng(seed))
    told = relapse_probability(ensemble, kept(ensemble, look_ahead(timeline, dose, EDGES_DAYS))).mean
    return {panel.patients[int(i)]: told[:, lane] for lane, i in enumerate(timeline.lanes)}
