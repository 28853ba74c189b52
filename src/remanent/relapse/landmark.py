"""What was known of each patient on a landmark day, as numbers; and what happened after it.

A panel that holds anything later than the landmark is refused: the features cannot look ahead (`study.as_of` makes such panels).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from remanent._errors import UsageError
from remanent.dynamics.design import log_crp
from remanent.dynamics.grid import medication_of, total_exposure
from remanent.dynamics.indicators import pattern
from remanent.relapse.score import Outcome
from remanent.study.panel import Long, Panel, rows_of
from remanent.study.schema import INSTRUMENTS
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.treatment.exposure import exposure

SLOPE_DAYS = 91.0
MONTH = 28.0
SEVERITY = "severity_last"
EXPOSURE = "exposure_total"


@dataclass(frozen=True)
class People:
    """Who the patients of a panel are, [patient]: age (years) and sex (0 male, 1 female) NaN where unknown, site empty where unknown."""

    age: Float[np.ndarray, " patient"]
    sex: Float[np.ndarray, " patient"]
    site: tuple[str, ...]


@dataclass(frozen=True)
class Landmarks:
    """One row per patient and landmark at which the patient was at risk.

    Attributes
    ----------
    names, x
        Features and their values, NaN where missing, [row, feature].
    circuit
        Whether a feature comes from scans, [feature].
    patient, day
        Index into the panel's patients, and the landmark (days), [row].
    site
        [row].
    time_days, event
        Days from the landmark to relapse or to the end of observation; NaN and False where unknown.
    """

    names: tuple[str, ...]
    x: Float[np.ndarray, "row feature"]
    circuit: Bool[np.ndarray, " feature"]
    patient: Int[np.ndarray, " row"]
    day: Float[np.ndarray, " row"]
    site: np.ndarray
    time_days: Float[np.ndarray, " row"]
    event: Bool[np.ndarray, " row"]

    def __len__(self) -> int:
        return len(self.patient)

    def only(self, rows: np.ndarray) -> "Landmarks":
        """The rows of a mask or an index array."""
        by_row = ("x", "patient", "day", "site", "time_days", "event")
        return replace(self, **{name: getattr(self, name)[rows] for name in by_row})

    def column(self, name: str) -> Float[np.ndarray, " row"]:
        """One feature."""
        return self.x[:, self.names.index(name)]

    def without_circuits(self) -> "Landmarks":
        """The same rows without what scans showed."""
        kept = np.flatnonzero(~self.circuit)
        names = tuple(self.names[k] for k in kept)
        return replace(self, names=names, x=self.x[:, kept], circuit=self.circuit[kept])

    @property
    def outcome(self) -> Outcome:
        """What is scored: landmarks are strata."""
        return Outcome(self.time_days, self.event, self.patient, np.unique(self.day, return_inverse=True)[1])


def at_risk(panel: Panel, day: float) -> Bool[np.ndarray, " patient"]:
    """Patients already on record on `day` and watched for relapse beyond it."""
    return (panel.first_day <= day) & (panel.risk_end_day > day)


def landmarks(whole: Panel, known: Mapping[float, Panel], people: People) -> Landmarks:
    """Rows of all landmarks: features from `known[day]`, outcomes from the `whole` record."""
    parts = []
    for day, panel in sorted(known.items()):
        rows = np.flatnonzero(at_risk(whole, day))
        described = [_describe(panel, int(i), day) for i in rows]
        parts += [(int(i), day, values) for i, values in zip(rows, described, strict=True)]
    found = {i: _person(whole, people, i) for i in {p for p, _, _ in parts}}
    every = [{**found[i], "landmark_day": day, **values} for i, day, values in parts]
    names = tuple(sorted({name for one in every for name in one}))
    index = np.array([i for i, _, _ in parts], int)
    when = np.array([d for _, d, _ in parts], float)
    return Landmarks(
        names=names,
        x=np.array([[one.get(n, np.nan) for n in names] for one in every], float).reshape(len(every), len(names)),
        circuit=np.array([n.startswith("scan_") for n in names], bool),
        patient=index,
        day=when,
        site=np.array(people.site, object)[index],
        time_days=whole.risk_end_day[index] - when,
        event=whole.relapsed[index],
    )


def _describe(panel: Panel, i: int, day: float) -> dict[str, float]:
    """Features of one patient on `day`."""
    if panel.last_day[i] > day:
        why = f"A landmark at day {day:g} must not know it"
        raise UsageError(f"the panel knows day {panel.last_day[i]:g}", why=why, do="Use study.as_of first")
    return {
        **_symptoms(panel, i, day),
        **_treatment(panel, i, day),
        **_last_of(panel.features, i, "scan_", tuple(pattern()["features"]), change=True),
        **_last_of(panel.ema_means, i, "", panel.ema_means.names, change=False),
        **_body(panel, i),
    }


def _person(panel: Panel, people: People, i: int) -> dict[str, float]:
    illness = sorted({d for d in panel.diagnosis if d})
    known = {f"diagnosis_{d}": float(panel.diagnosis[i] == d) for d in illness} if panel.diagnosis[i] else {}
    return {"age": float(people.age[i]), "sex": float(people.sex[i]), **known}


def _symptoms(panel: Panel, i: int, day: float) -> dict[str, float]:
    """Ratings as a share of their instrument's range, 1 the most severe; instruments of unknown range are left out."""
    rows = panel.symptoms.rows(i)
    names = [panel.symptoms.names[n] for n in panel.symptoms.name[rows]]
    known = np.array([n in INSTRUMENTS for n in names], bool)
    days, value = panel.symptoms.day[rows][known], panel.symptoms.value[rows][known]
    kept = [n for n in names if n in INSTRUMENTS]
    if not len(days):
        return {"ratings": 0.0}
    severity = np.array([_severity(n, v) for n, v in zip(kept, value, strict=True)])
    after, recent = days >= 0, days > day - SLOPE_DAYS
    found = {
        SEVERITY: float(severity[-1]),
        "severity_first": float(severity[0]),
        "severity_days_ago": float(day - days[-1]),
        "ratings": float(len(days)),
        **{f"{n}_last": s for n, s in zip(kept, severity.tolist(), strict=True)},
    }
    if after.any():
        found["severity_best"] = float(severity[after].min())
    if len(np.unique(days[recent])) > 1:
        found["severity_slope"] = float(MONTH * np.polyfit(days[recent] - day, severity[recent], 1)[0])
    return found


def _severity(instrument: str, value: float) -> float:
    scale = INSTRUMENTS[instrument]
    share = (value - scale.minimum) / (scale.maximum - scale.minimum)
    return float(share if scale.direction == "higher_is_worse" else 1 - share)


def _treatment(panel: Panel, i: int, day: float) -> dict[str, float]:
    given = medication_of(panel, i)
    ect = panel.ect_day[rows_of(panel.ect_patient, i)]
    found = {"ect_sessions": float(len(ect)), EXPOSURE: 0.0, "exposure_fall": 0.0}
    if len(ect):
        found["days_since_ect"] = float(day - ect.max())
    if given.doses.drug:
        now = exposure(given.doses, np.array([day]), given.levels)[:, 0]
        found |= {f"exposure_{c}": float(v) for c, v in zip(CLASSES, now, strict=True) if c not in NOT_DRUGS}
        edges = np.array([day - MONTH - 1e-6, day - MONTH, day - 1e-6, day])
        before, _, today = total_exposure(given.doses, given.levels, edges)
        found |= {EXPOSURE: float(today), "exposure_fall": float(before - today)}
    return found


def _last_of(records: Long, i: int, prefix: str, names: Sequence[str], *, change: bool) -> dict[str, float]:
    """Last value of each measure, and its change from the first where there are two."""
    found = {}
    for name in names:
        _, value = records.of(i, name)
        if value.size:
            found[f"{prefix}{name}"] = float(value[-1])
        if change and value.size > 1:
            found[f"{prefix}{name}_change"] = float(value[-1] - value[0])
    return found


def _body(panel: Panel, i: int) -> dict[str, float]:
    found = {}
    _, crp = panel.labs.of(i, "crp")
    _, sleep = panel.sleep.of(i, "tst_h")
    if crp.size:
        found["log_crp"] = float(log_crp(crp)[-1])
    if sleep.size:
        found["sleep_h"] = float(sleep[-1])
    return found
