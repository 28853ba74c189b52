"""Dose history to exposure D(t) per drug class: 1 at steady state on the usual full dose, 0 without drug.

One compartment, doses taken as continuous input, C in units of the steady state on the full dose (half-life h,
k = ln 2 / h):

    dC/dt = k (dose(t)/full - C)      C(t) = Σ_i dose_i/full · [exp(-k (t - stop_i)+) - exp(-k (t - start_i)+)]

Drugs that share a target compete for it (Gaddum); x_d = saturation_d · C_d is the concentration over EC50,
saturation = full dose / ED50:

    D = Σ_d (1 + saturation_d) C_d / (1 + Σ_d x_d)

which for one drug is E(C)/E(full), E = Emax C/(C + EC50), and without occupancy curve (saturation 0) is C itself.
Groups of one class add.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from remanent._errors import InputError
from remanent.treatment.drugs import CLASSES, Drug, require

Days = Float[np.ndarray, " day"]
Edges = Float[np.ndarray, " edge"]
PerSegment = Float[np.ndarray, " segment"]
PerDrug = Float[np.ndarray, " drug"]
DrugDays = Float[np.ndarray, "drug day"]
ClassDays = Float[np.ndarray, "class day"]
ClassIntervals = Float[np.ndarray, "class interval"]
Incidence = Float[np.ndarray, "row column"]

GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, eq=False)
class DoseHistory:
    """One patient's doses, one segment a row; segments of one drug that overlap add.

    Attributes
    ----------
    drug
        Generic name, brand or ATC code.
    dose_mg_day
        0 or more.
    start_day, stop_day
        First day on the dose (-inf: since long before the first record) and first day without it (inf: ongoing).
    """

    drug: tuple[str, ...]
    dose_mg_day: PerSegment
    start_day: PerSegment
    stop_day: PerSegment

    def __post_init__(self) -> None:
        bad = _first_bad_segment(self)
        if bad is not None:
            raise InputError(
                bad, where="medication", why="exposure cannot be computed from it", do="Correct or set aside this row"
            )


def exposure(history: DoseHistory, days: Days) -> ClassDays:
    """Exposure D at each day, [class, day], in the order of CLASSES.

    Raises
    ------
    InputError
        The history names an unknown drug.
    """
    mix = _mixture(history.drug)
    return mix.effect(mix.concentration(history, days))


def mean_exposure(history: DoseHistory, edges: Edges) -> ClassIntervals:
    """Mean of D between consecutive edges (ascending), [class, interval]; D itself where an interval has no length.

    Gauss-Legendre with 8 nodes on panels that end at every dose change and span at most 4 half-lives of the fastest
    drug that still moves: error below 1e-6 (tested against adaptive quadrature).
    """
    panels = np.unique(np.concatenate([edges, _panel_days(history, edges[0], edges[-1])]))
    width = np.diff(panels)
    days = (panels[:-1, None] + width[:, None] * (GAUSS_NODES + 1.0) / 2.0).ravel()
    D = exposure(history, days).reshape(len(CLASSES), width.size, GAUSS_NODES.size)
    integral = np.concatenate(
        [np.zeros((len(CLASSES), 1)), np.cumsum((D @ (GAUSS_WEIGHTS / 2.0)) * width, axis=1)], axis=1
    )
    at = np.searchsorted(panels, edges)
    length = np.diff(edges)
    mean = np.diff(integral[:, at], axis=1) / np.where(length > 0.0, length, 1.0)
    return np.where(length > 0.0, mean, exposure(history, edges[:-1]))


def change_days(
    history: DoseHistory,
    first: float = -np.inf,
    last: float = np.inf,
    *,
    tolerance: float = 0.05,
    shortest_days: float = 0.25,
) -> Days:
    """Days strictly between `first` and `last` at which to cut time so that interval means of D stand for D.

    Every start and stop is one; after each, cuts at equal steps of D follow until D is within `tolerance` of where it
    settles. Between consecutive cuts D stays within `tolerance` (share of full exposure) of its mean, but for intervals
    of `shortest_days`, which are not cut further.
    """
    bends = _bends(history)
    if bends.size == 0:
        return bends
    mix = _mixture(history.drug)
    ends = np.append(bends[1:], np.inf)
    cuts = [bends]
    for start, end in zip(np.maximum(bends, first), np.minimum(ends, last), strict=True):
        if start < end:
            cuts.append(_settling_cuts(history, mix, start, end, (tolerance, shortest_days)))
    days = np.unique(np.concatenate(cuts))
    return days[(days > first) & (days < last)]


# One compartment


@dataclass(frozen=True, eq=False)
class _Mixture:
    """The drugs of a history as arrays; a group is the drugs of one class that share a target."""

    rate: PerSegment
    full_dose: PerSegment
    to_drug: Incidence
    saturation: PerDrug
    to_group: Incidence
    to_class: Incidence
    half_life_days: PerDrug

    def concentration(self, history: DoseHistory, days: Days) -> DrugDays:
        """Concentration over that at steady state on the full dose."""
        since_start = np.maximum(days - history.start_day[:, None], 0.0)
        since_stop = np.maximum(days - history.stop_day[:, None], 0.0)
        rate = self.rate[:, None]
        share = np.exp(-rate * since_stop) - np.exp(-rate * since_start)
        return self.to_drug @ (share * (history.dose_mg_day / self.full_dose)[:, None])

    def effect(self, concentration: DrugDays) -> ClassDays:
        """Competitive occupancy within a group, scaled to 1 on a full dose; groups of a class add."""
        x = self.saturation[:, None] * concentration
        group = (self.to_group @ (concentration + x)) / (1.0 + self.to_group @ x)
        return self.to_class @ group


@lru_cache(maxsize=4096)
def _mixture(names: tuple[str, ...]) -> _Mixture:
    segments = [require(name) for name in names]
    drugs = sorted({d.name: d for d in segments}.values(), key=lambda d: d.name)
    groups = sorted({_group(d) for d in drugs})
    per_drug = np.array([d.lag_half_life_days for d in drugs])
    return _Mixture(
        rate=np.log(2.0) / np.array([d.lag_half_life_days for d in segments]),
        full_dose=np.array([d.full_dose.value for d in segments]),
        to_drug=_incidence([d.name for d in drugs], [d.name for d in segments]),
        saturation=np.array([d.saturation for d in drugs]),
        to_group=_incidence(groups, [_group(d) for d in drugs]),
        to_class=_incidence(CLASSES, [g[0] for g in groups]),
        half_life_days=per_drug,
    )


def _group(drug: Drug) -> tuple[str, str]:
    return drug.drug_class, "" if drug.occupancy is None else drug.occupancy.target


def _incidence(rows: Sequence[object], columns: Sequence[object]) -> Incidence:
    return np.array([[float(r == c) for c in columns] for r in rows]).reshape(len(rows), len(columns))


def _first_bad_segment(history: DoseHistory) -> str | None:
    for i, name in enumerate(history.drug):
        dose, start, stop = history.dose_mg_day[i], history.start_day[i], history.stop_day[i]
        if not (np.isfinite(dose) and dose >= 0.0):
            return f"segment {i + 1}, {name}: dose {dose} mg/day is not a number of 0 or more"
        if not (start <= stop and start < np.inf and stop > -np.inf):
            return f"segment {i + 1}, {name}: it stops on day {stop}, before it starts on day {start}"
    return None


# Where D bends

SETTLED_HALF_LIVES = 40.0  # 2^-40 of a step is left
PANEL_HALF_LIVES = 4.0


def _bends(history: DoseHistory) -> Days:
    days = np.unique(np.concatenate([history.start_day, history.stop_day]))
    return days[np.isfinite(days)]


def _panel_days(history: DoseHistory, first: float, last: float) -> Days:
    bends = _bends(history)
    if bends.size == 0:
        return bends
    steps = np.arange(0.0, SETTLED_HALF_LIVES, PANEL_HALF_LIVES)
    after = np.unique(np.outer(np.unique(_mixture(history.drug).half_life_days), steps))
    days = bends[:, None] + after
    return days[(days < np.append(bends[1:], np.inf)[:, None]) & (days > first) & (days < last)]


def _settling_cuts(history: DoseHistory, mix: _Mixture, start: float, end: float, limits: tuple[float, float]) -> Days:
    """Cuts after `start` at equal steps of the variation of D, at least `shortest_days` apart."""
    tolerance, shortest_days = limits
    step = 1.6 * tolerance
    fine = np.unique(np.outer(mix.half_life_days, np.linspace(0.0, 24.0, 97)).ravel())
    t = start + fine[fine < end - start]
    if np.isfinite(end):
        t = np.append(t, end)
    D = mix.effect(mix.concentration(history, t))
    moved = np.minimum(np.abs(np.diff(D, axis=1)).max(axis=0), step * np.diff(t) / shortest_days)
    travelled = np.concatenate([[0.0], np.cumsum(moved)])
    n = int(np.ceil((travelled[-1] - tolerance) / step))
    if n <= 0:
        return np.empty(0)
    return np.interp(np.arange(1, n + 1) * (travelled[-1] - tolerance) / n, travelled, t)
