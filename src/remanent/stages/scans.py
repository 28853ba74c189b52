"""Usable features as a matrix, with what is known of each scan: the form in which scans are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from remanent.study.people import says_healthy
from remanent.study.table import Table

DAYS_A_YEAR = 365.25
SEX_CODE = {"M": 0.0, "F": 1.0, "O": 0.5}
_NOT_COMPARED = ("qc_",)


@dataclass(frozen=True)
class Scans:
    """Scans in order of participant and day, [scan].

    Attributes
    ----------
    who, session, day
        `day` is NaN where unknown.
    age, sex, site, control
        Age at the scan (years), 0 male to 1 female, both NaN where unknown; site, empty where unknown; whether healthy (not where the diagnosis is unknown).
    names
        Features, sorted.
    value, se
        [scan, feature], NaN where missing or unusable.
    row
        Row of each value in the table of features, -1 where there is none, [scan, feature].
    """

    who: np.ndarray
    session: np.ndarray
    day: np.ndarray
    age: np.ndarray
    sex: np.ndarray
    site: np.ndarray
    control: np.ndarray
    names: tuple[str, ...]
    value: np.ndarray
    se: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.who)

    @property
    def visits(self) -> tuple[tuple[str, str], ...]:
        """Participant and session of each scan."""
        return tuple(zip(self.who.tolist(), self.session.tolist(), strict=True))

    def only(self, scans: np.ndarray) -> "Scans":
        """The scans of a mask or an index array."""
        kept = {n: getattr(self, n)[scans] for n in self.__dataclass_fields__ if n != "names"}
        return Scans(names=self.names, **kept)

    def columns(self, names: Sequence[str]) -> np.ndarray:
        """Positions of features by name; -1 for one that is not there."""
        position = {name: j for j, name in enumerate(self.names)}
        return np.array([position.get(name, -1) for name in names], dtype=int)

    def take(self, names: Sequence[str], which: str = "value") -> np.ndarray:
        """Values (or another attribute [scan, feature]) of features by name, NaN for one that is not there."""
        at = self.columns(names)
        return (
            np.where(at >= 0, getattr(self, which)[:, at], np.nan)
            if self.names
            else np.full((len(self), len(at)), np.nan)
        )


def as_scans(features: Table, participants: Table) -> Scans:
    """Pivot the table of features; quality measures are left out, they describe a scan and not a brain."""
    usable = np.array([str(flag).lower() == "true" for flag in features["usable"]], dtype=bool)
    compared = np.array([not name.startswith(_NOT_COMPARED) for name in features["feature"]], dtype=bool)
    rows = np.flatnonzero(usable & compared & np.isfinite(features["value"]))
    visits = [(w, s or "") for w, s in zip(features["participant_id"][rows], features["session_id"][rows], strict=True)]
    day = dict(zip(visits, features["day"][rows].tolist(), strict=True))
    order = sorted(day, key=lambda visit: (visit[0], np.nan_to_num(day[visit], nan=np.inf), visit[1]))
    names, column = np.unique(features["feature"][rows].astype(str), return_inverse=True)
    position = {visit: i for i, visit in enumerate(order)}
    scan = np.array([position[visit] for visit in visits], dtype=int)
    value, se = (np.full((len(order), len(names)), np.nan) for _ in range(2))
    row = np.full((len(order), len(names)), -1)
    value[scan, column], se[scan, column], row[scan, column] = features["value"][rows], features["se"][rows], rows
    person = _people(participants)
    known = [person.get(who, {}) for who, _ in order]
    days = np.array([day[visit] for visit in order], dtype=float)
    return Scans(
        who=np.array([who for who, _ in order], dtype=object),
        session=np.array([session for _, session in order], dtype=object),
        day=days,
        age=np.array([one.get("age", np.nan) for one in known]) + np.nan_to_num(days) / DAYS_A_YEAR,
        sex=np.array([SEX_CODE.get(one.get("sex", ""), np.nan) for one in known]),
        site=np.array([one.get("site") or "" for one in known], dtype=object),
        control=np.array([says_healthy(one.get("diagnosis")) for one in known], dtype=bool),
        names=tuple(map(str, names)),
        value=value,
        se=se,
        row=row,
    )


def _people(participants: Table) -> Mapping[str, Mapping[str, Any]]:
    columns = ("age", "sex", "site", "diagnosis")
    rows = zip(participants["participant_id"], *(participants[name].tolist() for name in columns), strict=True)
    return {who: dict(zip(columns, values, strict=True)) for who, *values in rows}
