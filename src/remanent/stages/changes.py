"""What changed in each person between the first usable scan on or after day 0 and the last, with its error.

Healthy people are among them: their repeats are the test-retest of every feature, for the reader to judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from remanent.circuits.change import change, lengthened, reliability, within_sd_from_icc, z_difference
from remanent.circuits.definitions import definitions
from remanent.stages.scans import Scans
from remanent.study.schema import OUTPUT

REFERENCE_MINUTES = 30.0  # scan length of the published reliabilities of functional connectivity
_LENGTH_MATTERS = "fc_"


@dataclass(frozen=True)
class _Spread:
    """How far a healthy person's values vary between scans, [feature]; NaN where unknown.

    Attributes
    ----------
    repeats
        What repeated scans of healthy people show beyond the scans' own errors.
    z_reliability
        Correlation of z over such repeats.
    between
        Standard deviation between people.
    """

    repeats: np.ndarray
    z_reliability: np.ndarray
    between: np.ndarray


def changes(scans: Scans, z: np.ndarray, minutes: np.ndarray, reason: np.ndarray) -> dict[str, list[Any]]:
    """Columns of changes.tsv.

    Parameters
    ----------
    z
        Of every value, [scan, feature].
    minutes
        Usable time of every scan, NaN where unknown, [scan].
    reason
        Why a value is doubtful, None where it is not, [scan, feature].
    """
    columns: dict[str, list[Any]] = {column.name: [] for column in OUTPUT["changes"].columns}
    spread = _spread(scans, z)
    for mine in _people(scans):
        for row in _of_one(scans, mine, spread, z, minutes):
            first, last, j = row.pop("at")
            doubts = dict.fromkeys(text for text in (reason[first, j], reason[last, j]) if text)
            for name, values in columns.items():
                values.append("; ".join(doubts) or None if name == "reason" else row[name])
    return columns


def _people(scans: Scans) -> Iterator[np.ndarray]:
    """Dated scans from day 0 on of each person, in order of day."""
    follow_up = scans.day >= 0
    for who in dict.fromkeys(scans.who[follow_up].tolist()):
        yield np.flatnonzero(follow_up & (scans.who == who))


def _of_one(
    scans: Scans, mine: np.ndarray, spread: _Spread, z: np.ndarray, minutes: np.ndarray
) -> Iterator[dict[str, Any]]:
    there = np.isfinite(scans.value[mine])
    two = np.flatnonzero(there.sum(axis=0) > 1)
    first = mine[there.argmax(axis=0)]
    last = mine[len(mine) - 1 - there[::-1].argmax(axis=0)]
    for j in two[scans.day[first[two]] < scans.day[last[two]]].tolist():
        a, b = int(first[j]), int(last[j])
        beyond, basis = _beyond(scans, spread, j, (a, b), minutes)
        found = change(
            *(np.array([v]) for v in (scans.value[a, j], scans.value[b, j], scans.se[a, j], scans.se[b, j], beyond))
        )
        known, told = bool(np.isfinite(found.se[0])), basis != "scan_error"
        of_z = z_difference(z[a, [j]], z[b, [j]], spread.z_reliability[[j]])[0] if basis == "repeats" else np.nan
        yield {
            "at": (a, b, j),
            "participant_id": scans.who[a],
            "feature": scans.names[j],
            "from_day": scans.day[a],
            "to_day": scans.day[b],
            "change": found.value[0],
            "se": found.se[0],
            "lower": found.lower[0],
            "upper": found.upper[0],
            "reliable": bool(found.reliable[0]) if known and told else None,
            "z_change": of_z,
            "basis": basis,
        }


def _beyond(scans: Scans, spread: _Spread, j: int, visits: tuple[int, int], minutes: np.ndarray) -> tuple[float, str]:
    """What a person's days add to the scans' own errors (standard deviation), and where that is known from."""
    if np.isfinite(spread.repeats[j]):
        return float(spread.repeats[j]), "repeats"
    icc = _published(scans.names[j], float(np.min(minutes[list(visits)])))
    within = float(within_sd_from_icc(np.array([icc]), spread.between[[j]])[0])
    own = float(np.mean(scans.se[list(visits), j] ** 2))
    if np.isfinite(within) and np.isfinite(own):
        return float(np.sqrt(max(within**2 - own, 0.0))), "published"
    return 0.0, "scan_error"


def _published(name: str, minutes: float) -> float:
    """Published reliability of a feature: of its network's edges or of any edge at this scan length, of volumes, thickness."""
    known = definitions().reliability
    kind, _, rest = name.partition("_")
    entry = {"fc": known.get(f"edge_{rest}", known["edge"]), "vol": known["volume"], "thick": known["thickness"]}.get(
        kind
    )
    if entry is None:
        return np.nan
    return lengthened(entry.value, minutes, REFERENCE_MINUTES) if name.startswith(_LENGTH_MATTERS) else entry.value


def _spread(scans: Scans, z: np.ndarray) -> _Spread:
    least = definitions().rule("minimum_repeats")
    values, errors, places = (_by_person(scans, part) for part in (scans.value, scans.se, z))
    repeats, of_z = reliability(values, errors), reliability(places)
    _, first = np.unique(scans.who.astype(str), return_index=True)
    people = scans.value[first]
    count = np.isfinite(people).sum(axis=0)
    mean = np.nansum(people, axis=0) / np.maximum(count, 1)
    variance = np.nansum((people - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    return _Spread(
        np.where(repeats.people >= least, repeats.biological_sd, np.nan),
        np.where(of_z.people >= least, of_z.icc, np.nan),
        np.where(count >= least, np.sqrt(variance), np.nan),
    )


def _by_person(scans: Scans, part: np.ndarray) -> np.ndarray:
    """Values of healthy people, [person, scan, feature], NaN where there is none."""
    mine = np.flatnonzero(scans.control)
    who, person = np.unique(scans.who[mine].astype(str), return_inverse=True)
    turn = np.arange(len(mine)) - np.searchsorted(person, person)
    held = np.full((max(len(who), 1), int(turn.max(initial=0)) + 1, part.shape[1]), np.nan)
    held[person, turn] = part[mine]
    return held
