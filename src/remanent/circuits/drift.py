"""Drift within a person: visits that were not processed alike, flagged on every value it touches.

Pipelines change their mathematics between releases, and a patient followed for two years has visits from several of
them. A change between such visits may be the software's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from remanent.circuits.feature import Feature
from remanent.study.derivatives.gates import Affected, changes_between
from remanent.study.session import Pipeline, SessionData

_MODALITIES = {
    "fc": ("bold",),
    "score": ("bold",),
    "segregation": ("bold",),
    "participation": ("bold",),
    "q": ("bold",),
    "ac1": ("bold",),
    "int": ("bold",),
    "alff": ("bold",),
    "sfc": ("bold", "diffusion"),
    "sc": ("diffusion",),
    "vol": ("anatomy",),
    "thick": ("anatomy",),
}
_KINDS: Mapping[str, Affected] = {"bold": "function", "diffusion": "connectome", "anatomy": "morphometry"}
_SOFTWARE = ("pipeline", "version", "upstream", "level")  # a difference that need not change a value
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Made:
    """How the values of one modality were made: the program, and whatever else could change them, by name."""

    pipeline: Pipeline
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Processing:
    """How one session was processed, by modality (bold, diffusion, anatomy); absent where it has none."""

    modalities: Mapping[str, Made]


def processing(session: SessionData, atlas: str | None) -> Processing:
    """Collect what could change a session's values: programs, versions, settings, atlas, repetition time."""
    found: dict[str, Made] = {}
    runs = [run for run in session.runs if atlas in (None, run.atlas)]
    connectomes = [connectome for connectome in session.connectomes if atlas in (None, connectome.atlas)]
    if runs:
        tr_s = runs[0].tr_s
        known = {"atlas": runs[0].atlas, "repetition time": _UNKNOWN if tr_s is None else f"{tr_s:g} s"}
        found["bold"] = _made(runs[0].pipeline, known | {"input": "matrix" if runs[0].series is None else "series"})
    if connectomes:
        one = connectomes[0]
        found["diffusion"] = _made(one.pipeline, {"atlas": one.atlas, "mu applied": str(one.mu_applied)})
    if session.morphometry:
        anatomy = min(session.morphometry, key=lambda one: not one.longitudinal)
        found["anatomy"] = _made(anatomy.pipeline, {"longitudinal": str(anatomy.longitudinal)})
    return Processing(found)


def flag_drift(features: Sequence[Sequence[Feature]], sessions: Sequence[Processing]) -> list[tuple[Feature, ...]]:
    """Flag the values of one person's sessions that were not processed like the others.

    The reference of a modality is the processing most of the person's sessions share; a tie goes to the earlier one.
    Where a setting is known to differ, or the programs' versions lie on two sides of a known change of meaning
    (gates.yaml), a value is another quantity: unusable. Where only versions differ, or a setting is unknown on one
    side, the reason says so and the value stays usable.

    Parameters
    ----------
    features, sessions
        One entry per session of the same person, in time order.
    """
    drifts: list[dict[str, _Drift]] = [{} for _ in sessions]
    for modality in _KINDS:
        made = [one.modalities[modality] for one in sessions if modality in one.modalities]
        for found, one in zip(drifts, sessions, strict=True):
            if modality in one.modalities:
                found[modality] = _drift(one.modalities[modality], _most_common(made), _KINDS[modality])
    return [
        tuple(_flagged(feature, found) for feature in session) for session, found in zip(features, drifts, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Drift:
    """What differs from the reference, in words, and whether any of it makes the value another quantity."""

    words: tuple[str, ...]
    harmful: bool


def _made(pipeline: Pipeline, facts: Mapping[str, str]) -> Made:
    program = {"pipeline": pipeline.name, "version": pipeline.version}
    return Made(pipeline, {**facts, **program, **pipeline.settings})


def _most_common(made: Sequence[Made]) -> Made:
    counts = Counter(tuple(sorted(one.facts.items())) for one in made)
    return max(made, key=lambda one: counts[tuple(sorted(one.facts.items()))])


def _drift(mine: Made, reference: Made, affects: Affected) -> _Drift:
    words, harmful = [], False
    for name in sorted(mine.facts.keys() | reference.facts.keys()):
        here, there = mine.facts.get(name, _UNKNOWN), reference.facts.get(name, _UNKNOWN)
        if here != there:
            words.append(f"{name} {here} (other visits: {there})")
            harmful |= name not in _SOFTWARE and _UNKNOWN not in (here, there)
    changes = changes_between(mine.pipeline, reference.pipeline, affects)
    words += [f"{change.problem} ({change.source})" for change in changes]
    return _Drift(tuple(words), harmful or bool(changes))


def _flagged(feature: Feature, drifts: Mapping[str, _Drift]) -> Feature:
    mine = [drifts[m] for m in _MODALITIES.get(feature.name.split("_", 1)[0], ()) if m in drifts]
    words = [word for drift in mine for word in drift.words]
    if not words:
        return feature
    reason = f"processed unlike this person's other visits: {', '.join(words)}"
    usable = feature.usable and not any(drift.harmful for drift in mine)
    return replace(feature, usable=usable, reason=f"{feature.reason}; {reason}" if feature.reason else reason)
