"""Drift within a person: visits that were not processed alike, flagged on every value it touches.

Pipelines change their mathematics between releases, and a patient followed for two years has visits from several of
them. A change between such visits may be the software's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature
from remanent.circuits.measure import own_atlas, runs_to_measure
from remanent.circuits.structure import scalar_of
from remanent.circuits.wiring import chosen
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
    "fa": ("tracts",),
    "md": ("tracts",),
}
_KINDS: Mapping[str, Affected] = {
    "bold": "function",
    "diffusion": "connectome",
    "tracts": "connectome",
    "anatomy": "morphometry",
}
_SOFTWARE = (
    "pipeline",
    "version",
    "upstream",
    "level",
    "configuration",
    "input",
)  # a difference need not change a value
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Made:
    """How the values of one modality were made: a file they came from, and whatever could change them, by name."""

    source: str
    facts: Mapping[str, str]

    @property
    def pipeline(self) -> Pipeline:
        """The program, the facts being its settings."""
        return Pipeline(self.facts.get("pipeline", ""), self.facts.get("version", ""), self.facts)


@dataclass(frozen=True, slots=True)
class Processing:
    """How one session was processed, by modality (bold, diffusion, tracts, anatomy); absent where it has none."""

    modalities: Mapping[str, Made]


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs from the person's other visits, in words, and whether it makes the values another quantity."""

    source: str
    words: tuple[str, ...]
    harmful: bool = False

    @property
    def sentence(self) -> str:
        """The words as the reason of a value."""
        return f"processed unlike this person's other visits: {', '.join(self.words)}"


def processing(session: SessionData, atlas: str | None) -> Processing:
    """Collect what could change a session's values: programs, versions, settings, atlas, task, repetition time."""
    found: dict[str, Made] = {}
    atlas = atlas or own_atlas(session)
    runs = runs_to_measure(session.runs, atlas) if atlas else []
    weights = chosen(session.connectomes, atlas) if atlas else None
    if runs:
        known: dict[str, Iterable[str]] = {
            "atlas": {run.atlas for run in runs},
            "task": {"rest" if run.task.lower().startswith("rest") else run.task for run in runs} - {""},
            "repetition time": {_UNKNOWN if run.tr_s is None else f"{run.tr_s:g} s" for run in runs},
            "input": {"matrix" if run.series is None else "series" for run in runs},
        }
        found["bold"] = _made(runs[0].source, [run.pipeline for run in runs], known)
    if weights:
        known = {"atlas": {weights.atlas}, "weights": {weights.measure}, "mu applied": {str(weights.mu_applied)}}
        found["diffusion"] = _made(weights.source, [weights.pipeline], known)
    tracts = [one for kind in definitions().tract_scalars if (one := scalar_of(session.tracts, kind))]
    if tracts:
        found["tracts"] = _made(tracts[0].source, [tracts[0].pipeline], {"scalars": [one.scalar for one in tracts]})
    if session.morphometry:
        anatomy = min(session.morphometry, key=lambda one: not one.longitudinal)
        found["anatomy"] = _made(anatomy.source, [anatomy.pipeline], {"longitudinal": {str(anatomy.longitudinal)}})
    return Processing(found)


def find_drift(sessions: Sequence[Processing]) -> list[dict[str, Drift]]:
    """What is unlike in each session of one person, by modality; sessions in time order.

    The reference is the processing most of the person's sessions share; a tie goes to the earlier one. Sessions that
    differ from it drift. Where no processing has the majority, the reference's own sessions are told so too.
    """
    drifts: list[dict[str, Drift]] = [{} for _ in sessions]
    for modality, affects in _KINDS.items():
        made = [one.modalities[modality] for one in sessions if modality in one.modalities]
        if not made:
            continue
        reference = _most_common(made)
        others = [one for one in made if one.facts != reference.facts]
        for found, one in zip(drifts, sessions, strict=True):
            mine = one.modalities.get(modality)
            if mine is not None and mine.facts != reference.facts:
                found[modality] = _difference(mine, reference, affects)
            elif mine is not None and 2 * len(others) >= len(made):
                found[modality] = replace(_difference(mine, others[0], affects), harmful=False)
    return drifts


def flag(feature: Feature, drifts: Mapping[str, Drift]) -> Feature:
    """Say on a value what drifted in its session.

    Where a setting is known to differ, or the programs' versions lie on two sides of a known change of meaning
    (gates.yaml), the value is another quantity: unusable. Where only versions differ, or a setting is unknown on one
    side, the reason says so and the value stays usable.
    """
    mine = [drifts[m] for m in _MODALITIES.get(feature.name.split("_", 1)[0], ()) if m in drifts]
    if not mine:
        return feature
    reason = "; ".join(filter(None, [feature.reason, *(drift.sentence for drift in mine)]))
    return replace(feature, usable=feature.usable and not any(drift.harmful for drift in mine), reason=reason)


def flag_drift(features: Sequence[Sequence[Feature]], sessions: Sequence[Processing]) -> list[tuple[Feature, ...]]:
    """Flag the values of one person's sessions that were not processed alike.

    Parameters
    ----------
    features, sessions
        One entry per session of the same person, in time order.
    """
    drifts = find_drift(sessions)
    return [tuple(flag(one, found) for one in session) for session, found in zip(features, drifts, strict=True)]


def _made(source: str, pipelines: Sequence[Pipeline], known: Mapping[str, Iterable[str]]) -> Made:
    """Facts of the runs of one session; where its runs differ, each fact holds every value."""
    told = [{"pipeline": one.name, "version": one.version, **one.settings} for one in pipelines]
    facts = {name: {one.get(name, _UNKNOWN) for one in told} for one in told for name in one}
    return Made(source, {name: " and ".join(sorted(values)) for name, values in {**known, **facts}.items()})


def _most_common(made: Sequence[Made]) -> Made:
    counts = Counter(tuple(sorted(one.facts.items())) for one in made)
    return max(made, key=lambda one: counts[tuple(sorted(one.facts.items()))])


def _difference(mine: Made, reference: Made, affects: Affected) -> Drift:
    words, harmful = [], False
    for name in sorted(mine.facts.keys() | reference.facts.keys()):
        here, there = mine.facts.get(name, _UNKNOWN), reference.facts.get(name, _UNKNOWN)
        if here != there:
            words.append(f"{name} {here or 'none'} (other visits: {there or 'none'})")
            harmful |= name not in _SOFTWARE and _UNKNOWN not in (here, there)
    changes = changes_between(mine.pipeline, reference.pipeline, affects)
    words += [f"{change.problem} ({change.source})" for change in changes]
    return Drift(mine.source, tuple(words), harmful or bool(changes))
