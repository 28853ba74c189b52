"""A Panel as atomic steps: each patient's own irregular time line, padded to common sizes so that one compiled trace serves many cohorts."""

from dataclasses import dataclass

import numpy as np

from remanent.dynamics.filter import Grid
from remanent.dynamics.indicators import Indicators, log_crp
from remanent.study.panel import Panel, rows_of
from remanent.study.schema import ANALYTES
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.treatment.exposure import DoseHistory, Levels, change_days, exposure, mean_exposure, serum_levels

WEEK = 7.0
_STEP_BUCKET, _PATIENT_BUCKET = 32, 8
_IS_DRUG = np.array([c not in NOT_DRUGS for c in CLASSES])


@dataclass(frozen=True)
class TimeLine:
    """A padded Grid and what its lanes mean.

    Attributes
    ----------
    grid
        NumPy arrays [step, lane].
    lanes
        Index into `Panel.patients` of each real lane, [lane without padding].
    steps
        Number of real steps of each lane, [lane without padding].
    today
        Last record of each lane's patient (day), [lane without padding].
    held
        Exposure at the first record, [lane without padding].
    stress_today
        Each stressor on that day, [stressor, lane without padding].
    """

    grid: Grid
    lanes: np.ndarray
    steps: np.ndarray
    today: np.ndarray
    held: np.ndarray
    stress_today: np.ndarray


@dataclass(frozen=True)
class Medication:
    """What one patient was given, and the serum levels that scale it."""

    doses: DoseHistory
    levels: Levels


def medication_of(panel: Panel, patient: int) -> Medication:
    """Dose segments and drug levels of one patient; laboratory values are in the schema's unit of each analyte."""
    d = panel.doses
    rows = rows_of(d.patient, patient)
    doses = DoseHistory(tuple(map(str, d.drug[rows])), d.dose_mg_day[rows], d.start_day[rows], d.stop_day[rows])
    labs = panel.labs
    mine = labs.rows(patient)
    analytes = [labs.names[n] for n in labs.name[mine]]
    units = [ANALYTES[a].unit if a in ANALYTES else "" for a in analytes]
    levels, _ = serum_levels(analytes, labs.day[mine], labs.value[mine], units)
    return Medication(doses, levels)


def total_exposure(doses: DoseHistory, levels: Levels, edges_days: np.ndarray) -> np.ndarray:
    """Mean exposure to all drugs together over consecutive intervals: the sum over classes, [interval]."""
    if not doses.drug:
        return np.zeros(len(edges_days) - 1)
    return mean_exposure(doses, edges_days, levels)[_IS_DRUG].sum(0)


def build_timeline(panel: Panel, indicators: Indicators) -> TimeLine:
    """Steps of every patient with at least one dated record."""
    lanes = np.flatnonzero(np.isfinite(panel.last_day))
    columns = [_patient_steps(panel, indicators, int(i)) for i in lanes]
    now = np.array([_stress_at(_stressors(panel, int(i)), panel.last_day[[i]], indicators)[:, 0] for i in lanes]).T
    lengths = np.array([c["dt"].size for c in columns], int)
    steps = _bucket(int(lengths.max(initial=1)), _STEP_BUCKET)
    width = _bucket(max(len(lanes), 1), _PATIENT_BUCKET)
    grid = {k: np.zeros((steps, width)) for k in Grid._fields if k != "stress"}
    stress = np.zeros((2, steps, width))
    grid["day"][:] = np.nan
    for lane, column in enumerate(columns):
        n = lengths[lane]
        stress[:, :n, lane] = column.pop("stress")
        for name, values in column.items():
            grid[name][:n, lane] = values
    grid["indicator"] = grid["indicator"].astype(int)
    held = grid["held"][0, : len(lanes)]
    return TimeLine(Grid(stress=stress, **grid), lanes, lengths, panel.last_day[lanes], held, now.reshape(2, -1))


def _bucket(n: int, size: int) -> int:
    return -(-n // size) * size


def _patient_steps(panel: Panel, indicators: Indicators, i: int) -> dict[str, np.ndarray]:
    first, last = panel.first_day[i], panel.last_day[i]
    obs = _observations(panel, indicators, i)
    given = medication_of(panel, i)
    ect = panel.ect_day[rows_of(panel.ect_patient, i)]
    risk = _risk_interval(panel, i, has_ect=ect.size > 0)
    stressors = _stressors(panel, i)
    weekly = np.arange(first, last, WEEK)
    bends = change_days(given.doses, first, last, levels=given.levels, tolerance=0.1)
    days = np.concatenate([obs["day"], ect, weekly, bends, [last], risk, *(s[0] for s in stressors)])
    nodes = np.unique(np.round(days[(days >= first) & (days <= last)], 6))
    at_node = _per_node(nodes, given, ect, risk, relapsed=bool(panel.relapsed[i]))
    at_node["stress"] = _stress_at(stressors, np.concatenate([nodes[:1], nodes[:-1]]), indicators)
    return _with_observations(nodes, at_node, obs)


def _observations(panel: Panel, indicators: Indicators, i: int) -> dict[str, np.ndarray]:
    """Standardised observations of one patient in order of day."""
    parts = []
    for records, symptom in ((panel.symptoms, True), (panel.features, False), (panel.ema_means, False)):
        rows = np.arange(len(records.patient))[records.rows(i)]
        lookup = {n: j for j, n in enumerate(indicators.names) if indicators.is_symptom[j] == symptom}
        target = np.array([lookup.get(records.names[n], -1) for n in records.name[rows]], int)
        rows, target = rows[target >= 0], target[target >= 0]
        scale = indicators.scale[target]
        value = (records.value[rows] - indicators.centre[target]) / scale
        se2 = (np.nan_to_num(records.se[rows]) / scale) ** 2
        parts.append((np.round(records.day[rows], 6), target, value, se2))
    day, target, value, se2 = (np.concatenate(p) for p in zip(*parts, strict=True))
    order = np.argsort(day, kind="stable")
    return {"day": day[order], "indicator": target[order], "value": value[order], "se2": se2[order]}


def _risk_interval(panel: Panel, i: int, *, has_ect: bool) -> np.ndarray:
    """Start and end of observation for relapse (days); empty where the study records no events."""
    end = panel.risk_end_day[i]
    start = max(0.0, panel.first_day[i]) if has_ect else panel.first_day[i]
    return np.array([start, end]) if np.isfinite(end) and end >= start else np.empty(0)


def _stressors(panel: Panel, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Days and values of CRP (mg/L) and of total sleep time (h)."""
    return [panel.labs.of(i, "crp"), panel.sleep.of(i, "tst_h")]


def _stress_at(stressors: list[tuple[np.ndarray, np.ndarray]], days: np.ndarray, scale: Indicators) -> np.ndarray:
    """Last value carried forward, in stressor units: log CRP above, hours of sleep below, the cohort's median; 0 before the first, [stressor, day]."""
    (crp_day, crp), (sleep_day, sleep) = stressors
    deviation = ((crp_day, log_crp(crp) - scale.crp_centre), (sleep_day, scale.sleep_centre - sleep))
    out = np.zeros((2, days.size))
    for row, (day, value) in enumerate(deviation):
        known = np.searchsorted(day, days, side="right") - 1
        out[row] = np.where(known >= 0, value[known] if value.size else 0.0, 0.0)
    return out


def _per_node(
    nodes: np.ndarray, given: Medication, ect: np.ndarray, risk: np.ndarray, *, relapsed: bool
) -> dict[str, np.ndarray]:
    dt = np.diff(nodes, prepend=nodes[:1])
    dose, lost, held = np.zeros(nodes.size), np.zeros(nodes.size), np.zeros(nodes.size)
    if given.doses.drug:
        at_nodes = exposure(given.doses, nodes, given.levels)[_IS_DRUG]
        dose[1:] = total_exposure(given.doses, given.levels, nodes)
        lost[1:] = np.maximum(-np.diff(at_nodes, axis=1), 0).sum(0)
        held[:] = at_nodes[:, 0].sum()
    course = max(int((ect <= 0).sum()), 1) if (ect <= 0).any() else max(ect.size, 1)
    share = np.zeros(nodes.size)
    np.add.at(share, np.searchsorted(nodes, np.round(ect, 6)), 1.0 / course)
    weight, event = np.zeros(nodes.size), np.zeros(nodes.size)
    if risk.size:
        inside = (nodes[:-1] >= risk[0] - 1e-6) & (nodes[1:] <= risk[1] + 1e-6)
        half = np.where(inside, np.diff(nodes) / 2, 0.0)
        weight[:-1] += half
        weight[1:] += half
        if relapsed:
            event[np.searchsorted(nodes, np.round(risk[1], 6))] = 1.0
    return {
        "day": nodes,
        "dt": dt,
        "dose": dose,
        "held": held,
        "lost": lost,
        "ect": share,
        "at_risk": weight,
        "relapse": event,
    }


def _with_observations(
    nodes: np.ndarray, at_node: dict[str, np.ndarray], obs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """One step per node without observation, one per observation otherwise; what happens at a node happens in its first step."""
    count = np.bincount(np.searchsorted(nodes, obs["day"]), minlength=nodes.size)
    node = np.repeat(np.arange(nodes.size), np.maximum(count, 1))
    first = np.diff(node, prepend=-1) > 0
    out = {k: np.where(first, v[..., node], 0.0) for k, v in at_node.items()}
    out["day"] = nodes[node]
    seen = np.repeat(count > 0, np.maximum(count, 1))
    out["observed"] = seen.astype(float)
    for name in ("indicator", "value", "se2"):
        filled = np.zeros(node.size)
        filled[seen] = obs[name]
        out[name] = filled
    return out
