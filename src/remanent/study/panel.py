"""Tables to arrays: the one door from what was observed to the mathematics.

A `Panel` is ragged: each kind of record is one set of parallel arrays, sorted by patient and day, so that a yearly scan and ten ratings a day cost what
they hold and nothing is padded before the model needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from remanent.study.schema import INSTRUMENTS
from remanent.study.tables import Table

MOST_EMA_MEANS = 60
NOT_AT_RISK_AFTER = ("relapse", "dropout", "death", "end_of_followup")
# Numbers about a participant that the model may use.
ABOUT_PEOPLE = ("age", "education_years", "premorbid_iq", "prs_mdd")


@dataclass(frozen=True)
class Long:
    """Named values of patients over days, sorted by patient, day and name: parallel arrays [obs].

    Attributes
    ----------
    patient
        Index into `Panel.patients`.
    name
        Index into `names`.
    se
        Sampling standard error, NaN where unknown.
    """

    names: tuple[str, ...]
    patient: np.ndarray
    day: np.ndarray
    name: np.ndarray
    value: np.ndarray
    se: np.ndarray

    def rows(self, patient: int) -> slice:
        """Where one patient's rows lie."""
        return rows_of(self.patient, patient)

    def of(self, patient: int, name: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Days and values of one patient, of one name or of all."""
        mine = self.rows(patient)
        day, value = self.day[mine], self.value[mine]
        if name is None:
            return day, value
        chosen = self.name[mine] == (self.names.index(name) if name in self.names else -1)
        return day[chosen], value[chosen]


def rows_of(patient: np.ndarray, wanted: int) -> slice:
    """Rows of one patient in an ascending column of patient indices."""
    return slice(*np.searchsorted(patient, [wanted, wanted + 1]))


@dataclass(frozen=True)
class Doses:
    """Dose segments [segment]: `start_day` -inf before the first record, `stop_day` inf while ongoing."""

    patient: np.ndarray
    drug: np.ndarray
    dose_mg_day: np.ndarray
    start_day: np.ndarray
    stop_day: np.ndarray


@dataclass(frozen=True)
class Panel:
    """A study as arrays.

    Attributes
    ----------
    patients, diagnosis
        Participant ids and diagnoses (None where unknown), [patient].
    symptoms, features, labs, sleep, ema
        Ratings by instrument, usable circuit features, laboratory values, sleep measures and momentary ratings.
    ema_means
        Means of each momentary item over a day (or over a few days, at most 60 means a patient), with their standard error.
    doses
        What was prescribed.
    ect_patient, ect_day, ect_placement
        ECT sessions, [session].
    first_day, last_day
        First and last record of any kind, [patient]; NaN for a patient without records.
    risk_end_day, relapsed
        Until when relapse was watched for, and whether it then occurred, [patient]; NaN where the study does not record events.
    dropped_out
        Whether the patient left the study on that day, [patient].
    people
        Each of `ABOUT_PEOPLE`, [patient]; NaN where unknown.
    """

    patients: tuple[str, ...]
    diagnosis: tuple[str | None, ...]
    symptoms: Long
    features: Long
    labs: Long
    sleep: Long
    ema: Long
    ema_means: Long
    doses: Doses
    ect_patient: np.ndarray
    ect_day: np.ndarray
    ect_placement: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray
    risk_end_day: np.ndarray
    relapsed: np.ndarray
    dropped_out: np.ndarray
    people: Mapping[str, np.ndarray]


def build_panel(tables: Mapping[str, Table], features: Table | None = None) -> Panel:
    """Panel of the accepted rows of a study (`tables`, by schema name) and its measured features.

    Ratings of instruments outside the domain ``depression`` are left out of `symptoms`: they are not severity of depression. Those of one scale on
    one day are taken as one, their mean.
    """
    people = tables["participants"]
    patients = tuple(str(p) for p in people["participant_id"])
    index = {p: i for i, p in enumerate(patients)}
    symptoms = _long(tables.get("symptoms"), index, "instrument")
    usable = None if features is None else features.select(_usable(features))
    ect = tables.get("ect")
    ect_patient = _patients(ect, index)
    order = np.lexsort((_column(ect, "day"), ect_patient))
    kinds = {
        "symptoms": _one_a_day(_depression_only(symptoms)),
        "features": _long(usable, index, "feature"),
        "labs": _long(tables.get("labs"), index, "analyte"),
        "sleep": _long(tables.get("sleep"), index, "measure"),
        "ema": _long(tables.get("ema"), index, "item"),
    }
    events = tables.get("events")
    dated = [(k.patient, k.day) for k in kinds.values()] + [
        (_patients(t, index), _column(t, "day")) for t in (events, tables.get("sessions"))
    ]
    last_day = _extreme(np.fmax, [*dated, (ect_patient, _column(ect, "day"))], len(patients))
    risk_end, relapsed, dropped_out = _risk(events, index, last_day)
    return Panel(
        patients=patients,
        diagnosis=tuple(people["diagnosis"]),
        **kinds,
        ema_means=_means(kinds["ema"]),
        doses=_doses(tables.get("medication"), index),
        ect_patient=ect_patient[order],
        ect_day=_column(ect, "day")[order],
        ect_placement=_column(ect, "placement", object)[order],
        first_day=_extreme(np.fmin, [*dated, (ect_patient, _column(ect, "day"))], len(patients)),
        last_day=last_day,
        risk_end_day=risk_end,
        relapsed=relapsed,
        dropped_out=dropped_out,
        people={name: _column(people, name) for name in ABOUT_PEOPLE},
    )


def _column(table: Table | None, name: str, dtype: type = float) -> np.ndarray:
    return np.empty(0, dtype) if table is None else np.asarray(table[name], dtype)


def _patients(table: Table | None, index: Mapping[str, int]) -> np.ndarray:
    return np.array([index[p] for p in _column(table, "participant_id", object)], int)


def _usable(features: Table) -> np.ndarray:
    flags = np.array([str(v).lower() == "true" for v in features["usable"]], bool)
    return flags & np.isfinite(features["value"].astype(float)) & np.isfinite(features["day"].astype(float))


def _long(table: Table | None, index: Mapping[str, int], name_column: str) -> Long:
    patient, day = _patients(table, index), _column(table, "day")
    labels = _column(table, name_column, object)
    names, name = np.unique(labels.astype(str), return_inverse=True)
    value = _column(table, "value")
    se = _column(table, "se") if table is not None and "se" in table.columns else np.full(len(day), np.nan)
    order = np.lexsort((name, day, patient))
    return Long(tuple(map(str, names)), patient[order], day[order], name[order], value[order], se[order])


def _means(ema: Long) -> Long:
    """Mean of each patient's item per block of days; se = sd / sqrt(n), NaN for a single rating. Blocks are days, or longer for more than 60 days."""
    if not ema.day.size:
        return ema
    group, member = np.unique(np.stack([ema.patient, ema.name]), axis=1, return_inverse=True)
    day = np.floor(ema.day)
    first = np.full(group.shape[1], np.inf)
    last = np.full(group.shape[1], -np.inf)
    np.minimum.at(first, member, day)
    np.maximum.at(last, member, day)
    width = np.ceil((last - first + 1) / MOST_EMA_MEANS)
    block = np.floor((day - first[member]) / width[member])
    key, row = np.unique(np.stack([member, block]), axis=1, return_inverse=True)
    n = np.bincount(row)
    mean, when = np.bincount(row, ema.value) / n, np.bincount(row, ema.day) / n
    var = np.bincount(row, (ema.value - mean[row]) ** 2) / np.maximum(n - 1, 1)
    se = np.where(n > 1, np.sqrt(var / n), np.nan)
    patient, name = group[:, key[0].astype(int)]
    order = np.lexsort((name, when, patient))
    names = tuple(f"ema_{n}" for n in ema.names)
    return Long(names, patient[order], when[order], name[order], mean[order], se[order])


def _one_a_day(ratings: Long) -> Long:
    """Ratings of one scale on one day as one, their mean: a scale asks about days or weeks, so more of them say no more."""
    key = np.stack([ratings.patient, ratings.name, np.floor(ratings.day)])
    kept, row, count = np.unique(key, axis=1, return_inverse=True, return_counts=True)
    if len(count) == len(row):
        return ratings
    day, value, se = (np.bincount(row, part) / count for part in (ratings.day, ratings.value, ratings.se))
    patient, name = kept[:2].astype(int)
    order = np.lexsort((name, day, patient))
    return Long(ratings.names, patient[order], day[order], name[order], value[order], se[order])


def _depression_only(symptoms: Long) -> Long:
    known = [n in INSTRUMENTS and INSTRUMENTS[n].domain != "depression" for n in symptoms.names]
    keep = ~np.array(known, bool)[symptoms.name] if len(symptoms.name) else np.zeros(0, bool)
    return Long(
        symptoms.names,
        *(getattr(symptoms, k)[keep] for k in ("patient", "day", "name", "value", "se")),
    )


def _doses(table: Table | None, index: Mapping[str, int]) -> Doses:
    patient = _patients(table, index)
    start, stop = _column(table, "start_day"), _column(table, "stop_day")
    start, stop = np.where(np.isnan(start), -np.inf, start), np.where(np.isnan(stop), np.inf, stop)
    order = np.lexsort((start, patient))
    drug, dose = _column(table, "drug", object), _column(table, "dose_mg_day")
    return Doses(patient[order], drug[order], dose[order], start[order], stop[order])


def _extreme(reduce: np.ufunc, dated: list[tuple[np.ndarray, np.ndarray]], patients: int) -> np.ndarray:
    out = np.full(patients, np.nan)
    for patient, day in dated:
        reduce.at(out, patient, day)
    return out


def _risk(
    events: Table | None, index: Mapping[str, int], last_day: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """End of observation for relapse, and whether it ended with relapse or else with dropout.

    The end is the first ending event; without one, the last record, provided the study records events at all.
    """
    nobody = np.zeros(len(last_day), bool)
    if events is None or not len(events):
        return np.full(len(last_day), np.nan), nobody, nobody
    ends = np.isin(events["event"].astype(str), NOT_AT_RISK_AFTER)
    patient, day = _patients(events, index)[ends], _column(events, "day")[ends]
    end = np.full(len(last_day), np.inf)
    np.minimum.at(end, patient, day)

    def ended_with(event: str) -> np.ndarray:
        out = np.zeros(len(last_day), bool)
        np.logical_or.at(out, patient, (events["event"][ends] == event) & (day == end[patient]))
        return out

    relapsed = ended_with("relapse")
    return np.where(np.isinf(end), last_day, end), relapsed, ended_with("dropout") & ~relapsed
