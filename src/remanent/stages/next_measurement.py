"""What to measure next in every patient: the rows of next.tsv, and the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from remanent.dynamics.forecast import Outlook
from remanent.dynamics.grid import Medication, TimeLine, look_ahead, medication_of
from remanent.dynamics.steps import Grid
from remanent.dynamics.survive import Kept
from remanent.plan.decide import shipped_thresholds, thresholds_for
from remanent.plan.next_scan import Measurement, Particles, Value, measurements, settings, value_of, value_of_knowing
from remanent.plan.particles import Possible, moved, possible, reading_of
from remanent.plan.plans import CONTINUE, STOP, TAPER, PlanSpec
from remanent.plan.simulate import planned_exposure
from remanent.relapse.predict import EDGES_DAYS, LEAST_FUNCTION, Ensemble, kept, shared_out
from remanent.stages.analyse import Results

DRAWS = 60
LEAST_SHOWN = 0.01  # of the uncertainty of remanence: a measurement that removes less is not named on the page
PLANS = (CONTINUE, TAPER, STOP)
STRESSORS = {"crp": "crp_mg_l", "sleep": "sleep_h"}
# A normal law in three points: mean and mean ± sqrt(3) sd, exact up to the fifth moment.
NODES, NODE_WEIGHTS = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)]), np.array([1 / 6, 2 / 3, 1 / 6])


@dataclass(frozen=True)
class Next:
    """One measurement on one day for one patient, and its value."""

    measurement: Measurement
    in_days: float
    value: Value

    @property
    def worth(self) -> tuple[float, float]:
        """Order of rows: regret saved per burden where it stands out of its Monte Carlo error, then variance of remanence removed per burden."""
        v = self.value
        saved = v.reduction if v.reduction > 2 * v.regret_error else 0.0
        narrowed = v.sd_before**2 - v.sd_after**2 if np.isfinite(v.sd_after) else 0.0
        return saved / self.measurement.burden, narrowed / self.measurement.burden


class _Study(NamedTuple):
    """What every step here reads: results, thresholds by diagnosis, mechanisms that matter, medication as it stands today."""

    results: Results
    table: Mapping[str, Any]
    kept: list[int]
    given: list[Medication]

    def limits(self, lane: int) -> dict[str, float] | None:
        """The rule's numbers for a patient; None where no advice is given."""
        limits = thresholds_for(self.results.situation[lane].diagnosis, self.table)
        return None if limits is None else {name: float(entry["value"]) for name, entry in limits.items()}

    def course(self, line: TimeLine, plan: PlanSpec, stress: np.ndarray | None = None) -> Outlook:
        """The outlook of every patient under a plan from the line's today."""
        dose = planned_exposure(plan.applied, self.given, line.today, EDGES_DAYS)
        return look_ahead(line, dose, EDGES_DAYS, stress=stress)

    def rolled(self, parts: Sequence[Possible], outlook: Outlook) -> list[Kept]:
        """Each mechanism's draws through an outlook."""
        return kept(ensemble_of(self.results, dict(zip(self.kept, parts, strict=True))), outlook)

    def weights(self, shares: Sequence[np.ndarray]) -> np.ndarray:
        """Weight of each particle of each lane, [particle, lane]."""
        of_mechanism = self.results.comparison.evidence_weight[self.kept]
        w = np.concatenate([m * s / len(s) for m, s in zip(of_mechanism, shares, strict=True)])
        return w / w.sum(0, keepdims=True)


class _Day(NamedTuple):
    """Everything on one day: particles by lane, and the parts they came from."""

    parts: list[Possible]
    particles: list[Particles]


def possible_today(results: Results, seed: int) -> dict[int, Possible]:
    """Draws of every patient's today under each mechanism that matters, with each measure's own level."""
    rng, lanes = np.random.default_rng([seed, 3]), len(results.timeline.lanes)
    counts = shared_out(DRAWS, results.comparison.evidence_weight[None])
    return {m: possible(results.posterior, results.timeline.grid, m, (n, lanes), rng) for m, n in counts.items()}


def ensemble_of(results: Results, possible: Mapping[int, Possible]) -> Ensemble:
    """Those draws as an ensemble, independent of the one that the forecasts and the advice rest on."""
    share = results.comparison.evidence_weight[list(possible)]
    weight = np.repeat(share[None] / share.sum(), len(results.timeline.lanes), 0)
    return Ensemble(results.posterior, tuple(possible), tuple(p.today for p in possible.values()), weight)


def next_measurements(
    results: Results, possible: Mapping[int, Possible], seed: int, thresholds: Mapping[str, Any] | None
) -> dict[str, tuple[Next, ...]]:
    """By participant still at risk, the best first; `possible` of `possible_today`."""
    rng = np.random.default_rng([seed, 8])
    study = _Study(results, thresholds or shipped_thresholds(), list(possible), _given(results))
    lanes = [k for k in range(len(results.timeline.lanes)) if not results.gone[k] and study.limits(k) is not None]
    now = list(possible.values())
    found: dict[int, list[Next]] = {lane: [] for lane in lanes}
    for days in settings()["days"]["value"]:
        on = _on_day(study, now, float(days), rng)
        for lane in lanes:
            found[lane] += _of_lane(study, on, lane, float(days))
    for lane, one, value in _stressor_values(study, now, lanes):
        found[lane].append(Next(one, 0.0, value))
    people = results.panel.patients
    return {
        people[results.timeline.lanes[lane]]: tuple(sorted(rows, key=lambda n: n.worth, reverse=True))
        for lane, rows in found.items()
        if rows
    }


def table(results: Results | None, found: Mapping[str, Sequence[Next]]) -> dict[str, list[Any]]:
    """next.tsv."""
    rows = [(who, rank, n) for who, nexts in found.items() for rank, n in enumerate(nexts, 1)]
    today, basis = {}, {}
    if results is not None:
        people = [results.panel.patients[i] for i in results.timeline.lanes]
        today = dict(zip(people, results.timeline.today.tolist(), strict=True))
        basis = dict(zip(people, results.outcome.informed["stop"].tolist(), strict=True))
    return {
        "participant_id": [who for who, _, _ in rows],
        "rank": [rank for _, rank, _ in rows],
        "measurement": [n.measurement.name for _, _, n in rows],
        "day": [today[who] + n.in_days for who, _, n in rows],
        "in_days": [n.in_days for _, _, n in rows],
        "burden": [n.measurement.burden for _, _, n in rows],
        "regret_before": [n.value.regret_before for _, _, n in rows],
        "regret_reduction": [n.value.reduction for _, _, n in rows],
        "regret_error": [n.value.regret_error for _, _, n in rows],
        "remanence_sd_before": [n.value.sd_before for _, _, n in rows],
        "remanence_sd_after": [n.value.sd_after for _, _, n in rows],
        "basis": ["data" if basis[who] else "prior" for who, _, _ in rows],
    }


def words(found: Sequence[Next], most: int = 3) -> tuple[str, ...]:
    """The best measurements in plain words, one day each."""
    best: dict[str, Next] = {}
    for n in found:
        if n.worth[0] > 0 or n.value.sd_after < (1 - LEAST_SHOWN) * n.value.sd_before:
            best.setdefault(n.measurement.name, n)
    return tuple(map(_say, list(best.values())[:most]))


def _say(n: Next) -> str:
    when = "today" if n.in_days == 0 else f"in {n.in_days:.0f} days"
    v = n.value
    saved = (
        f"decisions better by {1000 * v.reduction:.1f} (± {1000 * v.regret_error:.1f}) relapses in 1,000 such patients"
        if n.worth[0] > 0
        else "advice hardly changed"
    )
    known = (
        f", remanence {100 * (1 - v.sd_after / v.sd_before):.0f} % less uncertain"
        if np.isfinite(v.sd_after) and v.sd_before > 0
        else ""
    )
    return f"{n.measurement.words} {when}: {saved}{known}"


# Particles of a day


def _given(results: Results) -> list[Medication]:
    """Medication as it stands today: what was planned later is dropped."""
    line = results.timeline
    each = [medication_of(results.panel, int(i)) for i in line.lanes]
    return [replace(m, doses=CONTINUE.applied(m.doses, float(d))) for m, d in zip(each, line.today, strict=True)]


def _on_day(study: _Study, now: list[Possible], days: float, rng: np.random.Generator) -> _Day:
    """Particles after `days` on unchanged doses without relapse."""
    line = study.results.timeline
    parts, shares = now, [np.ones_like(p.today.f) for p in now]
    if days > 0:
        outlook = study.course(line, CONTINUE)
        ahead = study.rolled(now, outlook)
        row = int(np.searchsorted(EDGES_DAYS[1:], days))
        width = outlook.dt[: row + 1, None]
        dose = (outlook.dose[:, : row + 1] * width).sum(1) / width.sum()
        parts = [
            moved(p, (a.function[row], a.structure[row]), dose, days, rng) for p, a in zip(now, ahead, strict=True)
        ]
        shares = [a.survival[row] for a in ahead]
    later = replace(line, today=line.today + days)
    rolled = [study.rolled(parts, study.course(later, plan)) for plan in PLANS]
    weights = study.weights(shares)
    return _Day(parts, [_particles(study, parts, rolled, weights[:, k], k) for k in range(len(line.lanes))])


def _particles(
    study: _Study, parts: Sequence[Possible], rolled: Sequence[Sequence[Kept]], weight: np.ndarray, lane: int
) -> Particles:
    """Particles of one lane at the rule's horizon; remanence NaN where function is too close to zero for a fraction of it to mean anything."""
    limits = study.limits(lane)
    row = int(np.searchsorted(EDGES_DAYS[1:], limits["horizon_days"] if limits else EDGES_DAYS[-1]))
    stay, tapered, hold = (np.concatenate([a.survival[row, :, lane] for a in plan]) for plan in rolled)
    later = np.concatenate([a.function[row, :, lane] for a in rolled[PLANS.index(STOP)]])
    now = weight @ np.concatenate([p.today.f[:, lane] for p in parts])
    remanence = later / now if now >= LEAST_FUNCTION else np.full_like(later, np.nan)
    return Particles(weight, hold, stay, tapered, remanence)


# Values


def _of_lane(study: _Study, on: _Day, lane: int, days: float) -> list[Next]:
    results, limits = study.results, study.limits(lane)
    scale, grid, who = results.indicators, results.timeline.grid, results.panel.patients[results.timeline.lanes[lane]]
    out: list[Next] = []
    for one in measurements():
        measures = one.measures(scale.names, scale.is_symptom)
        if limits is None or one.stressor or not measures.size:
            continue
        se2 = np.array([_typical_se2(grid, int(j)) for j in measures])
        reading = reading_of(on.parts, lane, measures, se2, one.days)
        rng = np.random.default_rng([crc32(who.encode()), int(days), crc32(one.name.encode())])
        value = value_of(on.particles[lane], reading, limits, int(settings()["outcomes"]["value"]), rng)
        out.append(Next(one, days, value))
    return out


def _typical_se2(grid: Grid, measure: int) -> float:
    seen = grid.se2[(grid.observed > 0) & (grid.indicator == measure)]
    return float(np.median(seen)) if seen.size else 0.0


def _stressor_values(study: _Study, now: list[Possible], lanes: Sequence[int]) -> list[tuple[int, Measurement, Value]]:
    """Value of knowing CRP or sleep today, where it was measured in others and not lately in this patient: three levels, as they vary in the study."""
    out = []
    line, situation = study.results.timeline, study.results.situation
    for k, (name, known) in enumerate(STRESSORS.items()):
        spread = float(line.grid.stress[k][np.isfinite(line.grid.day)].std())
        unknown = [lane for lane in lanes if getattr(situation[lane], known) is None]
        if spread <= 0 or not unknown:
            continue
        levels = [_under_stress(study, now, k, node * spread) for node in NODES]
        one = next(m for m in measurements() if m.stressor == name)
        for lane in unknown:
            limits = study.limits(lane)
            if limits is not None:
                out.append((lane, one, _knowing([level[lane] for level in levels], limits)))
    return out


def _under_stress(study: _Study, now: list[Possible], stressor: int, level: float) -> list[Particles]:
    """Particles of today, of every lane, if the stressor stood at that level from now on."""
    line = study.results.timeline
    stress = line.stress_today.copy()
    stress[stressor] = level
    rolled = [study.rolled(now, study.course(line, plan, stress)) for plan in PLANS]
    weights = study.weights([np.ones_like(p.today.f) for p in now])
    return [_particles(study, now, rolled, weights[:, k], k) for k in range(len(line.lanes))]


def _knowing(levels: Sequence[Particles], limits: Mapping[str, float]) -> Value:
    weight = np.concatenate([w * p.weight for w, p in zip(NODE_WEIGHTS, levels, strict=True)])
    rest = (np.concatenate(parts) for parts in zip(*(p[1:] for p in levels), strict=True))
    group = np.repeat(np.arange(len(levels)), levels[0].weight.size)
    return value_of_knowing(Particles(weight, *rest), group, limits)
