"""A Panel as atomic steps: each patient's own irregular time line, padded to common sizes so that one compiled trace serves many cohorts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from remanent.dynamics.design import Design, log_crp, read_covariates, read_reserve
from remanent.dynamics.forecast import Outlook
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.steps import PER_SLOT, Grid
from remanent.study.panel import Panel, rows_of
from remanent.study.schema import ANALYTES
from remanent.treatment.drugs import CLASSES
from remanent.treatment.exposure import IS_DRUG, DoseHistory, Levels, change_days, exposure, mean_exposure, serum_levels

WEEK = 7.0
_STEP_BUCKET, _PATIENT_BUCKET = 32, 8
_SLOT_COST = 0.25
_THERAPY = CLASSES.index("psychotherapy")


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
        Exposure at the first record in the order of `CLASSES`, [class, lane without padding].
    stress_today
        CRP and sleep on that day, [stressor, lane without padding]; psychotherapy is planned, as doses are.
    design
        What the arrays were read by.
    """

    grid: Grid
    lanes: np.ndarray
    steps: np.ndarray
    today: np.ndarray
    held: np.ndarray
    stress_today: np.ndarray
    design: Design


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
    return exposure_by_class(doses, levels, edges_days)[IS_DRUG].sum(0)


def exposure_by_class(doses: DoseHistory, levels: Levels, edges_days: np.ndarray) -> np.ndarray:
    """Mean exposure over consecutive intervals, in the order of `CLASSES`, [class, interval]."""
    return (
        mean_exposure(doses, edges_days, levels)
        if doses.drug
        else np.zeros((len(CLASSES), max(len(edges_days) - 1, 0)))
    )


def class_rows(design: Design) -> np.ndarray:
    """Where the classes of a design stand among `CLASSES`."""
    return np.array([CLASSES.index(c) for c in design.classes], int)


def therapy(doses: DoseHistory, levels: Levels, edges_days: np.ndarray) -> np.ndarray:
    """Mean exposure to psychotherapy over consecutive intervals, [interval]."""
    return exposure_by_class(doses, levels, edges_days)[_THERAPY]


def build_timeline(panel: Panel, design: Design, room: tuple[int, int, int] = (0, 0, 0)) -> TimeLine:
    """Steps of every patient with at least one dated record.

    `room`: slots, and steps and lanes at least, as another grid has them (its `value.shape`), so that programs compiled for that one serve this one too.
    """
    lanes = np.flatnonzero(np.isfinite(panel.last_day))
    nodes = [_patient_nodes(panel, design, int(i)) for i in lanes]
    measures = len(design.indicators.names)
    slots = min(room[0], measures) or _slots(nodes, measures)
    columns = [_steps(one, slots, measures) for one in nodes]
    now = np.array([_stress_at(_stressors(panel, int(i)), panel.last_day[[i]], design)[:, 0] for i in lanes]).T
    lengths = np.array([c["dt"].size for c in columns], int)
    steps = max(_bucket(int(lengths.max(initial=1)), _STEP_BUCKET), room[1])
    width = max(padded_lanes(len(lanes)), room[2])
    people = {
        "tether": read_covariates(panel, design.tether),
        "risk": read_covariates(panel, design.risk),
        "reserve": read_reserve(panel, design.reserve),
    }
    held = np.array([_held(panel, int(i)) for i in lanes]).reshape(-1, len(CLASSES)).T
    by_lane = {name: _padded(v[..., lanes], width) for name, v in people.items()}
    by_lane["held"] = _padded(held[class_rows(design)], width)
    by_step = _by_step(columns, design, (steps, width), slots)
    return TimeLine(Grid(**by_step, **by_lane), lanes, lengths, panel.last_day[lanes], held, now.reshape(2, -1), design)


def _by_step(
    columns: list[dict[str, np.ndarray]], design: Design, shape: tuple[int, int], slots: int
) -> dict[str, np.ndarray]:
    """Every array with a step axis; padded steps hold zeros, and no day."""
    leading = {
        "dose": len(design.classes),
        "stress": 3,
        "ect": len(design.placements),
        "period": len(design.breaks),
        **dict.fromkeys(PER_SLOT, slots),
    }
    per_lane = {"held", "tether", "risk", "reserve"}
    out = {k: np.zeros((leading[k], *shape) if k in leading else shape) for k in Grid._fields if k not in per_lane}
    out["day"][:] = np.nan
    for lane, column in enumerate(columns):
        for name, values in column.items():
            out[name][..., : values.shape[-1], lane] = values
    out["indicator"] = out["indicator"].astype(int)
    return out


def _padded(by_lane: np.ndarray, width: int) -> np.ndarray:
    """Zeros up to `width` lanes."""
    return np.concatenate([by_lane, np.zeros((*by_lane.shape[:-1], width - by_lane.shape[-1]))], axis=-1)


def look_ahead(
    timeline: TimeLine,
    given: Float[np.ndarray, "class interval lane"],
    edges_days: Float[np.ndarray, " edge"],
    *,
    stress: Float[np.ndarray, "stressor lane"] | None = None,
    ect: Float[np.ndarray, "placement interval lane"] | None = None,
) -> Outlook:
    """The course from today on that `given`, exposure in the order of `CLASSES`, stands for; edges in days from today.

    `stress` is CRP and sleep, constant; None: as they are today. `ect`: shares of an index course; None: no more sessions.
    """
    design, lanes = timeline.design, len(timeline.lanes)
    shape = (len(edges_days) - 1, lanes)
    now = timeline.stress_today if stress is None else stress
    strain = np.broadcast_to(now[:, None], (len(now), *shape))
    talk = given[_THERAPY] - timeline.held[_THERAPY][None]
    people = {k: getattr(timeline.grid, k)[:, :lanes] for k in ("held", "tether", "risk")}
    return Outlook(
        dt=np.diff(edges_days),
        dose=given[class_rows(design)],
        stress=np.concatenate([strain, talk[None]]),
        ect=np.zeros((len(design.placements), *shape)) if ect is None else ect,
        period=_periods_ahead(timeline.today, edges_days, design.breaks),
        **people,
    )


def _periods_ahead(today: np.ndarray, edges_days: np.ndarray, breaks: tuple[float, ...]) -> np.ndarray:
    """Share of each interval from today on that lies in each later period, [later period, interval, lane]."""
    start, end = (today[None] + edges[:, None] for edges in (edges_days[:-1], edges_days[1:]))
    bounds = zip(breaks, (*breaks[1:], np.inf), strict=False)
    shares = [np.clip(np.minimum(end, b) - np.maximum(start, a), 0.0, None) / (end - start) for a, b in bounds]
    return np.array(shares).reshape(len(breaks), *start.shape)


def padded_lanes(patients: int) -> int:
    """Lanes of the grid of so many patients."""
    return _bucket(max(patients, 1), _PATIENT_BUCKET)


def _bucket(n: int, size: int) -> int:
    return -(-n // size) * size


@dataclass(frozen=True)
class _Nodes:
    """Where something happens to one patient: arrays [..., node], and what is read there, [observation], `at` which node."""

    at_node: dict[str, np.ndarray]
    obs: dict[str, np.ndarray]
    at: np.ndarray


def _patient_nodes(panel: Panel, design: Design, i: int) -> _Nodes:
    first, last = panel.first_day[i], panel.last_day[i]
    obs = _observations(panel, design.indicators, i)
    given = medication_of(panel, i)
    ect = _sessions(panel, design, i)
    risk = _risk_interval(panel, i, has_ect=ect.day.size > 0)
    stressors = _stressors(panel, i)
    weekly = np.arange(first, last, WEEK)
    bends = change_days(given.doses, first, last, levels=given.levels, tolerance=0.1)
    days = np.concatenate([obs["day"], ect.day, weekly, bends, [last], risk, design.breaks, *(s[0] for s in stressors)])
    nodes = np.unique(np.round(days[(days >= first) & (days <= last)], 6))
    at_node = {"day": nodes, "dt": np.diff(nodes, prepend=nodes[:1])}
    at_node |= _given_at(nodes, given, design)
    at_node["ect"] = _shares(nodes, ect, len(design.placements))
    at_node |= _at_risk(
        nodes, risk, design, event=("relapse" if panel.relapsed[i] else "dropout" if panel.dropped_out[i] else None)
    )
    strain = _stress_at(stressors, np.concatenate([nodes[:1], nodes[:-1]]), design)
    at_node["stress"] = np.concatenate([strain, at_node.pop("therapy")[None]])
    return _Nodes(at_node, obs, np.searchsorted(nodes, obs["day"]))


def _held(panel: Panel, i: int) -> np.ndarray:
    """Exposure at the patient's first record, [class]."""
    given = medication_of(panel, i)
    if not given.doses.drug:
        return np.zeros(len(CLASSES))
    return exposure(given.doses, np.round(panel.first_day[[i]], 6), given.levels)[:, 0]


@dataclass(frozen=True)
class _Sessions:
    """ECT of one patient: day and row of the placement of each session, [session]."""

    day: np.ndarray
    placement: np.ndarray


def _sessions(panel: Panel, design: Design, i: int) -> _Sessions:
    mine = rows_of(panel.ect_patient, i)
    return _Sessions(panel.ect_day[mine], design.placement_of(list(panel.ect_placement[mine])))


def _observations(panel: Panel, indicators: Indicators, i: int) -> dict[str, np.ndarray]:
    """Standardised observations of one patient in order of day."""
    parts = []
    for records, symptom in ((panel.symptoms, True), (panel.features, False), (panel.ema_means, False)):
        rows = np.arange(len(records.patient))[records.rows(i)]
        lookup = {n: j for j, n in enumerate(indicators.names) if indicators.is_symptom[j] == symptom}
        target = np.array([lookup.get(records.names[n], -1) for n in records.name[rows]], int)
        rows, target = rows[target >= 0], target[target >= 0]
        scale = indicators.scale[target]
        value, beyond = indicators.read(records.value[rows], target)
        se2 = (np.nan_to_num(records.se[rows]) / scale) ** 2
        parts.append((np.round(records.day[rows], 6), target, value, se2, beyond))
    columns = dict(
        zip(("day", "indicator", "value", "se2", "beyond"), map(np.concatenate, zip(*parts, strict=True)), strict=True)
    )
    order = np.argsort(columns["day"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _risk_interval(panel: Panel, i: int, *, has_ect: bool) -> np.ndarray:
    """Start and end of observation for relapse (days); empty where the study records no events."""
    end = panel.risk_end_day[i]
    start = max(0.0, panel.first_day[i]) if has_ect else panel.first_day[i]
    return np.array([start, end]) if np.isfinite(end) and end >= start else np.empty(0)


def _stressors(panel: Panel, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Days and values of CRP (mg/L) and of total sleep time (h)."""
    return [panel.labs.of(i, "crp"), panel.sleep.of(i, "tst_h")]


def _stress_at(stressors: list[tuple[np.ndarray, np.ndarray]], days: np.ndarray, scale: Design) -> np.ndarray:
    """Last value carried forward, in stressor units: log CRP above, hours of sleep below, the cohort's median; 0 before the first, [stressor, day]."""
    (crp_day, crp), (sleep_day, sleep) = stressors
    deviation = ((crp_day, log_crp(crp) - scale.crp_centre), (sleep_day, scale.sleep_centre - sleep))
    out = np.zeros((2, days.size))
    for row, (day, value) in enumerate(deviation):
        known = np.searchsorted(day, days, side="right") - 1
        out[row] = np.where(known >= 0, value[known] if value.size else 0.0, 0.0)
    return np.nan_to_num(out)


def _given_at(nodes: np.ndarray, given: Medication, design: Design) -> dict[str, np.ndarray]:
    """Mean exposure of each class before each node, exposure lost, and psychotherapy beyond that at the first record."""
    dose, lost, talk = np.zeros((len(design.classes), nodes.size)), np.zeros(nodes.size), np.zeros(nodes.size)
    if given.doses.drug:
        at_nodes = exposure(given.doses, nodes, given.levels)
        mean = exposure_by_class(given.doses, given.levels, nodes)
        dose[:, 1:] = mean[class_rows(design)]
        lost[1:] = np.maximum(-np.diff(at_nodes[IS_DRUG], axis=1), 0).sum(0)
        talk[1:] = mean[_THERAPY] - at_nodes[_THERAPY, 0]
    return {"dose": dose, "lost": lost, "therapy": talk}


def _shares(nodes: np.ndarray, ect: _Sessions, placements: int) -> np.ndarray:
    """Share of the index course given at each node by each placement; a session after day 0 counts as one of the course, [placement, node]."""
    index = int((ect.day <= 0).sum()) or ect.day.size
    share = np.zeros((placements, nodes.size))
    if not placements:  # a fit without ECT knows of no effect
        return share
    np.add.at(share, (ect.placement, np.searchsorted(nodes, np.round(ect.day, 6))), 1.0 / max(index, 1))
    return share


def _at_risk(nodes: np.ndarray, risk: np.ndarray, design: Design, event: str | None) -> dict[str, np.ndarray]:
    """Trapezoid weights of the cumulative hazard (days), the shares of them that lie in later periods, and the event that ended it."""
    out = {name: np.zeros(nodes.size) for name in ("at_risk", "relapse", "dropout")}
    out["period"] = np.zeros((len(design.breaks), nodes.size))
    if not risk.size:
        return out
    inside = (nodes[:-1] >= risk[0] - 1e-6) & (nodes[1:] <= risk[1] + 1e-6)
    half = np.where(inside, np.diff(nodes) / 2, 0.0)
    left, right = np.append(0.0, half), np.append(half, 0.0)
    out["at_risk"] = left + right
    before = _in_period(np.append(nodes[0], nodes[:-1]), design.breaks)
    after = _in_period(nodes, design.breaks)
    whole = np.where(out["at_risk"] > 0, out["at_risk"], 1.0)
    out["period"] = np.where(out["at_risk"] > 0, (before * left + after * right) / whole, before)
    if event is not None:
        out[event][np.searchsorted(nodes, np.round(risk[1], 6))] = 1.0
    return out


def _in_period(days: np.ndarray, breaks: tuple[float, ...]) -> np.ndarray:
    """Whether the time that begins on each day lies in each later period, [later period, day]."""
    period = np.searchsorted(np.array(breaks), days, side="right")
    return (period[None] == 1 + np.arange(len(breaks))[:, None]).astype(float)


def _slots(people: list[_Nodes], measures: int) -> int:
    """How many readings a step holds: fewer make more steps, more make each step dearer, by about a quarter of a bare one (measured)."""
    sizes = sorted({1, 2, 4, measures} & set(range(1, max(measures, 1) + 1)))

    def cost(slots: int) -> float:
        longest = max((int(_layers(one, slots, measures)[1].sum()) for one in people), default=1)
        return longest * (1 + _SLOT_COST * slots)

    return min(sizes, key=cost)


def _layers(one: _Nodes, slots: int, measures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of its node's steps holds each observation, how many steps each node has, and which slot holds each observation.

    With as many slots as measures every measure has its own; a measure read twice at one node takes a further step.
    """
    key = one.at * measures + one.obs["indicator"].astype(int) if slots == measures else one.at
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    rank = np.empty(key.size, int)
    rank[order] = np.arange(key.size) - np.repeat(start, np.diff(np.append(start, key.size)))
    layer = rank if slots == measures else rank // slots
    count = np.ones(one.at_node["day"].size, int)
    np.maximum.at(count, one.at, layer + 1)
    return layer, count, one.obs["indicator"].astype(int) if slots == measures else rank % slots


def _steps(one: _Nodes, slots: int, measures: int) -> dict[str, np.ndarray]:
    """One step per node, more where more is read than a step holds; what happens at a node happens in its first step."""
    layer, count, slot = _layers(one, slots, measures)
    node = np.repeat(np.arange(count.size), count)
    first = np.diff(node, prepend=-1) > 0
    out = {k: np.where(first, v[..., node], 0.0) for k, v in one.at_node.items()}
    out["day"] = one.at_node["day"][node]
    step = (np.cumsum(count) - count)[one.at] + layer
    for name in PER_SLOT:
        out[name] = np.zeros((slots, node.size))
        out[name][slot, step] = one.obs.get(name, 1.0)
    if slots == measures:
        out["indicator"][:] = np.arange(measures)[:, None]
    return out
