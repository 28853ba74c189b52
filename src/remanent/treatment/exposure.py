"""Dose history to exposure D(t) per drug class: 1 at steady state on the usual full dose, 0 without drug.

One compartment, doses taken as continuous input, C in units of the steady state on the full dose (half-life h,
k = ln 2 / h):

    dC/dt = k (dose(t)/full - C)      C(t) = Σ_i dose_i/full · [exp(-k (t - stop_i)+) - exp(-k (t - start_i)+)]

Drugs that share a target compete for it (Gaddum); x_d = saturation_d · C_d is the concentration over EC50,
saturation = full dose / ED50:

    D = Σ_d (1 + saturation_d) C_d / (1 + Σ_d x_d)

which for one drug is E(C)/E(full), E = Emax C/(C + EC50), and without occupancy curve (saturation 0) is C itself.
Groups of one class add. Where serum levels were measured, C is multiplied by measured over expected, the patient's own
clearance: linear between levels, constant outside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from remanent._errors import InputError
from remanent.treatment.drugs import CLASSES, NOT_DRUGS, Drug, find, level_value, require

Number = float | int
Days = Float[np.ndarray, " day"]
Edges = Float[np.ndarray, " edge"]
Cuts = Float[np.ndarray, " cut"]
PerSegment = Float[np.ndarray, " segment"]
PerLevel = Float[np.ndarray, " level"]
LevelMask = Bool[np.ndarray, " level"]
PerDrug = Float[np.ndarray, " drug"]
DrugDays = Float[np.ndarray, "drug day"]
ClassDays = Float[np.ndarray, "class day"]
ClassIntervals = Float[np.ndarray, "class interval"]
Incidence = Float[np.ndarray, "row column"]
DrugSegments = Float[np.ndarray, "drug segment"]
GroupDrugs = Float[np.ndarray, "group drug"]
ClassGroups = Float[np.ndarray, "class group"]

GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(8)
PANEL_HALF_LIVES = np.array([0.0, 0.0625, 0.25, 1.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 36.0, 40.0])
IS_DRUG = np.array([name not in NOT_DRUGS for name in CLASSES])  # which rows of exposure are drugs
LEAST_EXPECTED = 0.05  # share of the full dose's level below which a measured level says nothing about clearance


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
        bad = next(_bad_segments(self), None)
        if bad is not None:
            raise InputError(
                bad, where="medication", why="exposure cannot be computed from it", do="Correct or set aside this row"
            )


@dataclass(frozen=True, eq=False)
class Levels:
    """One patient's serum trough levels, in the unit of the drug table (`drugs.level_value` converts)."""

    drug: tuple[str, ...]
    day: PerLevel
    value: PerLevel

    def __post_init__(self) -> None:
        if not (np.isfinite(self.day).all() and np.isfinite(self.value).all() and (self.value >= 0.0).all()):
            raise InputError("a serum level or its day is negative or missing", where="labs", do="Set aside this row")


def exposure(history: DoseHistory, days: Days, levels: Levels | None = None) -> ClassDays:
    """Exposure D at each day, [class, day], in the order of CLASSES.

    Raises
    ------
    InputError
        The history names an unknown drug.
    """
    mix = _mixture(history.drug)
    return mix.effect(_concentration(history, mix, days, levels))


def mean_exposure(history: DoseHistory, edges: Edges, levels: Levels | None = None) -> ClassIntervals:
    """Mean of D between consecutive edges (ascending), [class, interval]; D itself where an interval has no length.

    Gauss-Legendre with 8 nodes on panels that end at every dose change, are graded after it (a saturated curve rises
    within minutes) and span at most 4 half-lives of a drug that still moves: error below 1e-6 (tested).
    """
    panels = np.unique(np.concatenate([edges, _panel_days(history, edges[0], edges[-1], levels)]))
    width = np.diff(panels)
    days = (panels[:-1, None] + width[:, None] * (GAUSS_NODES + 1.0) / 2.0).ravel()
    D = exposure(history, days, levels).reshape(len(CLASSES), width.size, GAUSS_NODES.size)
    integral = np.zeros((len(CLASSES), panels.size))
    np.cumsum((D @ (GAUSS_WEIGHTS / 2.0)) * width, axis=1, out=integral[:, 1:])
    length = np.diff(edges)
    mean = np.diff(integral[:, np.searchsorted(panels, edges)], axis=1) / np.where(length > 0.0, length, 1.0)
    return np.where(length > 0.0, mean, exposure(history, edges[:-1], levels))


def change_days(
    history: DoseHistory,
    first: Number = -np.inf,
    last: Number = np.inf,
    *,
    levels: Levels | None = None,
    tolerance: float = 0.05,
    shortest_days: float = 0.25,
) -> Days:
    """Days strictly between `first` and `last` at which to cut time so that interval means of D stand for D.

    Every start and stop is one; after each, as few cuts follow as keep D of every class within `tolerance` (share of
    full exposure) of its mean over each interval. Intervals of at most `shortest_days` are not cut further.
    """
    bends = _bends(history, levels)
    if bends.size == 0:
        return bends
    mix = _mixture(history.drug)
    cuts = [bends]
    for start, end in zip(np.maximum(bends, first), np.minimum(np.append(bends[1:], np.inf), last), strict=True):
        if start < end:
            days = _fine_days(mix, start, end, levels)
            D = mix.effect(_concentration(history, mix, days, levels))
            cuts.append(_fewest_cuts(days, D, tolerance, shortest_days))
    days = np.unique(np.concatenate(cuts))
    return days[(days > first) & (days < last)]


def serum_levels(
    analyte: Sequence[str], day: PerLevel, value: PerLevel, unit: Sequence[str]
) -> tuple[Levels, tuple[str, ...]]:
    """Those rows of a patient's labs that are levels of a drug, and in words why any other drug level is not used."""
    kept: list[tuple[str, float, float]] = []
    refused: list[str] = []
    for name, when, measured, its_unit in zip(analyte, day, value, unit, strict=True):
        drug = find(name)
        if drug is None:
            continue
        try:
            kept.append((drug.name, float(when), level_value(drug, float(measured), its_unit)))
        except InputError as error:
            refused.append(str(error))
    days, values = np.array([k[1] for k in kept]), np.array([k[2] for k in kept])
    return Levels(tuple(k[0] for k in kept), days, values), tuple(refused)


def levels_used(history: DoseHistory, levels: Levels) -> LevelMask:
    """Which levels scale exposure: those of a drug with a therapeutic range, taken while it was given, [level]."""
    return np.isfinite(_clearance_ratio(history, _mixture(history.drug), levels))


# One compartment


@dataclass(frozen=True, eq=False)
class _Mixture:
    """The drugs of a history as arrays; a group is the drugs of one class that share a target."""

    drugs: tuple[Drug, ...]
    rate: PerSegment
    full_dose: PerSegment
    to_drug: DrugSegments
    saturation: PerDrug
    to_group: GroupDrugs
    to_class: ClassGroups
    half_life_days: PerDrug
    settling_days: Days  # fine grid after a change of dose, until every drug has settled

    def concentration(self, history: DoseHistory, days: Days) -> DrugDays:
        """Concentration expected from the dose, over that at steady state on the full dose."""
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
    return _Mixture(
        drugs=tuple(drugs),
        rate=np.log(2.0) / np.array([d.lag_half_life_days for d in segments]),
        full_dose=np.array([d.full_dose.value for d in segments]),
        to_drug=_incidence([d.name for d in drugs], [d.name for d in segments]),
        saturation=np.array([d.saturation for d in drugs]),
        to_group=_incidence(groups, [_group(d) for d in drugs]),
        to_class=_incidence(CLASSES, [g[0] for g in groups]),
        half_life_days=np.array([d.lag_half_life_days for d in drugs]),
        settling_days=_settling_days(np.array([d.lag_half_life_days for d in drugs])),
    )


def _settling_days(half_life_days: PerDrug) -> Days:
    """Days after a change of dose: fine at its onset, when a saturated curve moves within minutes, and through its decay."""
    if half_life_days.size == 0:
        return np.zeros(1)
    onset = np.geomspace(half_life_days.min() / 1024.0, 24.0 * half_life_days.max(), 120)
    decay = np.outer(half_life_days, np.linspace(0.0, 10.0, 101)).ravel()
    return np.unique(np.concatenate([onset, decay]))


def _group(drug: Drug) -> tuple[str, str]:
    return drug.drug_class, "" if drug.occupancy is None else drug.occupancy.target


def _incidence(rows: Sequence[object], columns: Sequence[object]) -> Incidence:
    return np.array([[float(r == c) for c in columns] for r in rows]).reshape(len(rows), len(columns))


def _bad_segments(history: DoseHistory) -> Iterator[str]:
    for i, name in enumerate(history.drug):
        dose, start, stop = history.dose_mg_day[i], history.start_day[i], history.stop_day[i]
        if not (np.isfinite(dose) and dose >= 0.0):
            yield f"segment {i + 1}, {name}: dose {dose} mg/day is not a number of 0 or more"
        if not (start <= stop and start < np.inf and stop > -np.inf):
            yield f"segment {i + 1}, {name}: it stops on day {stop} and starts on day {start}"


# Serum levels


def _concentration(history: DoseHistory, mix: _Mixture, days: Days, levels: Levels | None) -> DrugDays:
    expected = mix.concentration(history, days)
    if levels is None or not levels.drug:
        return expected
    ratio = _clearance_ratio(history, mix, levels)
    for row, drug in enumerate(mix.drugs):
        own = np.flatnonzero(np.isfinite(ratio) & np.array([require(n).name == drug.name for n in levels.drug]))
        if own.size:
            at, where = np.unique(levels.day[own], return_inverse=True)
            mean = np.bincount(where, ratio[own]) / np.bincount(where)
            expected[row] *= np.interp(days, at, mean)
    return expected


def _clearance_ratio(history: DoseHistory, mix: _Mixture, levels: Levels) -> PerLevel:
    """Measured over expected concentration, [level]; NaN where the level cannot be used."""
    ratio = np.full(len(levels.drug), np.nan)
    row = {drug.name: i for i, drug in enumerate(mix.drugs)}
    expected = mix.concentration(history, levels.day)
    for i, name in enumerate(levels.drug):
        drug = require(name)
        if drug.level is not None and drug.name in row and expected[row[drug.name], i] >= LEAST_EXPECTED:
            ratio[i] = levels.value[i] / drug.level.target.value / expected[row[drug.name], i]
    return ratio


# Where D bends


def _bends(history: DoseHistory, levels: Levels | None) -> Days:
    days = np.unique(np.concatenate([history.start_day, history.stop_day, [] if levels is None else levels.day]))
    return days[np.isfinite(days)]


def _panel_days(history: DoseHistory, first: float, last: float, levels: Levels | None) -> Days:
    bends = _bends(history, levels)
    if bends.size == 0:
        return bends
    after = np.unique(np.outer(np.unique(_mixture(history.drug).half_life_days), PANEL_HALF_LIVES))
    days = bends[:, None] + after
    return days[(days < np.append(bends[1:], np.inf)[:, None]) & (days > first) & (days < last)]


def _fine_days(mix: _Mixture, start: float, end: float, levels: Levels | None) -> Cuts:
    """Fine grid from `start` until every drug has settled, or to `end`."""
    fine = start + mix.settling_days
    if not np.isfinite(end):
        return fine
    drift = np.linspace(start, end, 2 if levels is None else 65)
    return np.unique(np.concatenate([fine[fine < end], drift]))


def _fewest_cuts(days: Days, D: ClassDays, tolerance: float, shortest_days: float) -> Cuts:
    """Each interval as long as D stays within `tolerance` of its mean, from the first of `days` to the last."""
    D = D[np.ptp(D, axis=1) > tolerance]
    area = np.zeros_like(D)
    np.cumsum((D[:, 1:] + D[:, :-1]) / 2.0 * np.diff(days), axis=1, out=area[:, 1:])
    cuts: list[float] = []
    i = 0
    while True:
        span = days[i + 1 :] - days[i]
        mean = (area[:, i + 1 :] - area[:, [i]]) / span
        highest = np.maximum.accumulate(D[:, i:], axis=1)[:, 1:]
        lowest = np.minimum.accumulate(D[:, i:], axis=1)[:, 1:]
        off = np.maximum(highest - mean, mean - lowest).max(axis=0, initial=0.0)
        too_long = (off > tolerance) & (span > shortest_days)
        if not too_long.any():
            return np.array(cuts)
        i += max(int(too_long.argmax()), 1)
        cuts.append(float(days[i]))
