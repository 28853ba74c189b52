"""Drift within a person, across the visits on record: visits that were not processed alike."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remanent._errors import Problem
from remanent.circuits.drift import Drift, Made, Processing, find_drift, flag
from remanent.circuits.feature import Feature
from remanent.study.table import Table

Visit = tuple[str, str]  # participant_id, session_id


@dataclass(frozen=True)
class Flagged:
    """Features with what drifted said on each.

    Attributes
    ----------
    features
        As in the record, `usable` and `reason` brought up to date.
    problems
        One for each visit and kind of scan that drifted.
    words
        By participant, what drifted, in words.
    """

    features: Table
    problems: tuple[Problem, ...]
    words: Mapping[str, tuple[str, ...]]


def facts(made: Processing) -> list[tuple[str, str, str, str]]:
    """Rows of the table ``processing``: modality, setting, value, source."""
    return [
        (modality, name, value, one.source)
        for modality, one in made.modalities.items()
        for name, value in sorted(one.facts.items())
    ]


def flag_visits(features: Table, processing: Table) -> Flagged:
    """Compare every participant's visits, in order of their days."""
    drifts = dict(_drifts(features, _processings(processing)))
    usable, reason = features["usable"].copy(), features["reason"].copy()
    touched: dict[tuple[Visit, str], list[int]] = defaultdict(list)
    for i, visit in enumerate(_visits(features)):
        if visit not in drifts:
            continue
        was = Feature(features["feature"][i], 0.0, 0.0, usable=bool(usable[i]), reason=reason[i] or "")
        now = flag(was, drifts[visit])
        usable[i], reason[i] = now.usable, now.reason or None
        for modality, one in drifts[visit].items():
            if one.sentence in now.reason:
                touched[visit, modality].append(i)
    problems = [_problem(visit, drifts[visit][modality], len(rows)) for (visit, modality), rows in touched.items()]
    words: dict[str, tuple[str, ...]] = {}
    for visit, modality in touched:
        who, session = visit
        said = f"{session or 'only visit'} ({modality}): {', '.join(drifts[visit][modality].words)}"
        words[who] = (*words.get(who, ()), said)
    columns = {**features.columns, "usable": usable, "reason": reason}
    return Flagged(Table(features.spec, columns, features.file, features.row), tuple(problems), words)


def _visits(table: Table) -> Iterator[Visit]:
    return ((who, session or "") for who, session in zip(table["participant_id"], table["session_id"], strict=True))


def _processings(table: Table) -> dict[Visit, Processing]:
    found: dict[Visit, dict[str, Made]] = {}
    rows = zip(_visits(table), *(table[n] for n in ("modality", "setting", "value", "source")), strict=True)
    for visit, modality, setting, value, source in rows:
        made = found.setdefault(visit, {}).setdefault(modality, Made(source, {}))
        found[visit][modality] = Made(made.source, {**made.facts, setting: value or ""})
    return {visit: Processing(modalities) for visit, modalities in found.items()}


def _drifts(features: Table, made: Mapping[Visit, Processing]) -> Iterator[tuple[Visit, Mapping[str, Drift]]]:
    day = dict(zip(_visits(features), features["day"].tolist(), strict=True))
    people: dict[str, list[Visit]] = defaultdict(list)
    for visit in made:
        people[visit[0]].append(visit)
    for visits in people.values():
        ordered = sorted(visits, key=lambda v: (np.nan_to_num(day.get(v, np.nan), nan=np.inf), v[1]))
        found: Sequence[Mapping[str, Drift]] = find_drift([made[visit] for visit in ordered])
        yield from ((visit, drift) for visit, drift in zip(ordered, found, strict=True) if drift)


def _problem(visit: Visit, drift: Drift, count: int) -> Problem:
    where = f"{count} values of {visit[1] or 'this visit'} were "
    what = "They are another quantity and take no part" if drift.harmful else "A change there may be the software's"
    do = "Process all visits of a person with one version and the same settings."
    return Problem(
        drift.source, None, "", f"{where}{drift.sentence}. {what}. {do}", "set_aside" if drift.harmful else "used"
    )
