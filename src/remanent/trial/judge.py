"""What the filter would say of virtual patients on a decision day: the lower end of the interval of hold, as the advice rule looks at it.

The patients' records (ratings at every visit so far, ECT, doses, and a scan on each decision day) become a panel like any study's; from there on everything is
the engine: time lines, filter, forecast under a stop.
"""

from dataclasses import dataclass

import numpy as np

from remanent._errors import InputError
from remanent.dynamics.design import Design, choose_design
from remanent.dynamics.grid import build_timeline, look_ahead, medication_of
from remanent.dynamics.infer import Posterior
from remanent.plan.simulate import STANDARD_PLANS, planned_exposure
from remanent.relapse.predict import EDGES_DAYS, kept, posterior_ensemble, relapse_probability
from remanent.study.panel import ABOUT_PEOPLE, Doses, Long, Panel
from remanent.treatment.drugs import Drug, formulary, require
from remanent.trial.world import SESSIONS, Entry

DRUG = "sertraline"  # where no population was fitted
DRAWS = 40
HOLD_DAYS = 182.0
LEAST_LANES = 32


@dataclass(frozen=True)
class Records:
    """What was seen of patients on unchanged doses, [visit or scan, lane]; scores in points of `instrument`, scans in each feature's own unit."""

    instrument: str
    rated_days: np.ndarray
    scores: np.ndarray
    scan_days: np.ndarray
    features: tuple[str, ...]
    scans: np.ndarray  # [feature, scan, lane]
    relapse_day: np.ndarray
    entry: Entry


def usual_class(design: Design) -> int | None:
    """Row of the drug class that most patients of the fitted study took; None where nobody took any."""
    return int(np.argmax(design.class_weight)) if design.classes else None


def drug_of(design: Design) -> Drug:
    """What the virtual patients take: of that class, the drug that is at its full effect first, as theirs is at once.

    Raises
    ------
    InputError
        Nobody took a drug in the fitted study.
    """
    row = usual_class(design)
    if row is None:
        raise InputError(
            "No policy can ask hold (hold_at_least)",
            where="population",
            why="nobody took a drug in the fitted study: going on and stopping are the same there",
            do="Take that condition out, or name a population fitted to patients on drugs, or reference",
        )
    alike = [drug for drug in formulary().drugs.values() if drug.drug_class == design.classes[row]]
    return min(alike, key=lambda drug: drug.lag_half_life_days)


def panel_of(records: Records, today: float, lanes: np.ndarray, drug: Drug) -> Panel:
    """The records up to `today` of chosen patients on the usual full dose (exposure 1), none of whom has relapsed."""
    n = len(lanes)
    rated, scanned = records.rated_days <= today, records.scan_days <= today
    empty = Long((), *(np.empty(0, t) for t in (int, float, int, float, float)))
    sessions = records.entry.sessions
    drug_from = min(0.0, records.entry.drug_from - records.entry.rated_day)
    return Panel(
        patients=tuple(f"sub-{k}" for k in lanes),
        diagnosis=(None,) * n,
        symptoms=_long((records.instrument,), records.rated_days[rated], records.scores[None, rated][:, :, lanes]),
        features=_long(records.features, records.scan_days[scanned], records.scans[:, scanned][:, :, lanes]),
        labs=empty,
        sleep=empty,
        ema=empty,
        ema_means=empty,
        doses=Doses(
            np.arange(n),
            np.full(n, drug.name, object),
            np.full(n, drug.full_dose.value),
            np.full(n, drug_from),
            np.full(n, np.inf),
        ),
        ect_patient=np.repeat(np.arange(n), SESSIONS),
        ect_day=np.tile(sessions, n),
        ect_placement=np.full(n * SESSIONS, None, object),
        first_day=np.full(n, sessions[0] - 2.0),
        last_day=np.full(n, today),
        risk_end_day=np.full(n, today),
        relapsed=np.zeros(n, bool),
        dropped_out=np.zeros(n, bool),
        people={name: np.full(n, np.nan) for name in ABOUT_PEOPLE},
    )


def _long(names: tuple[str, ...], days: np.ndarray, values: np.ndarray) -> Long:
    """Values [name, day, patient] as sorted rows: by patient, day, name."""
    k, d, n = values.shape
    value = values.transpose(2, 1, 0).ravel()
    patient, day = np.repeat(np.arange(n), d * k), np.tile(np.repeat(days, k), n)
    return Long(names, patient, day, np.tile(np.arange(k), d * n), value, np.full(value.size, np.nan))


def design_of(records: Records) -> Design:
    """The design of the virtual study itself, for a prior that belongs to none."""
    lanes = np.arange(records.scores.shape[1])
    return choose_design(panel_of(records, float(records.rated_days[-1]), lanes, require(DRUG)))


def holds(
    records: Records, known: tuple[Design, Posterior], weight: np.ndarray, days: tuple[float, ...], seed: int
) -> dict[float, np.ndarray]:
    """Lower end of the 90 % interval of hold of every patient at each decision day, [lane]; 0 for those who have relapsed by then."""
    design, posterior = known
    drug = drug_of(design)
    edges = EDGES_DAYS[EDGES_DAYS <= HOLD_DAYS]
    found = {}
    for day in days:
        at_risk = np.flatnonzero(records.relapse_day > day)
        lower = np.zeros(len(records.relapse_day))
        if at_risk.size:
            lanes = _in_bucket(at_risk, len(lower))
            panel = panel_of(records, day, lanes, drug)
            timeline = build_timeline(panel, design)
            weights = np.repeat(weight[None], len(lanes), 0)
            ensemble = posterior_ensemble(posterior, timeline.grid, weights, DRAWS, np.random.default_rng(seed))
            alike = planned_exposure(STANDARD_PLANS["stop"], [medication_of(panel, 0)], timeline.today[:1], edges)
            dose = np.repeat(alike, len(lanes), axis=-1)
            relapse = relapse_probability(ensemble, kept(ensemble, look_ahead(timeline, dose, edges)))
            lower[at_risk] = 1 - relapse.upper[-1, : at_risk.size]
        found[day] = lower
    return found


def _in_bucket(lanes: np.ndarray, everybody: int) -> np.ndarray:
    """Those lanes, the first again up to everybody, half, a quarter of them and so on: few sizes, so that decision days and replicates share programs."""
    size = everybody
    while size > lanes.size and -(-size // 2) >= max(lanes.size, LEAST_LANES):
        size = -(-size // 2)
    return np.concatenate([lanes, np.repeat(lanes[:1], max(size - lanes.size, 0))])
