"""Drift within a person: visits that were not processed alike, flagged on every value it touches.

Pipelines change their mathematics between releases, and a patient followed for two years has visits from several of
them. A change between such visits may be the software's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from remanent.circuits.feature import Feature
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
_SOFTWARE = ("pipeline", "version")

Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Processing:
    """How one session was processed: for each modality it has, what could change its values, by name."""

    modalities: Mapping[str, Facts]


def processing(session: SessionData, atlas: str | None) -> Processing:
    """Collect what could change a session's values: pipeline, version, settings, atlas, repetition time."""
    found: dict[str, Facts] = {}
    runs = [run for run in session.runs if atlas in (None, run.atlas)]
    connectomes = [connectome for connectome in session.connectomes if atlas in (None, connectome.atlas)]
    if runs:
        tr_s = runs[0].tr_s
        known = {"atlas": runs[0].atlas, "repetition time": "unknown" if tr_s is None else f"{tr_s:g} s"}
        found["bold"] = known | {"input": "matrix" if runs[0].series is None else "series"} | _facts(runs[0].pipeline)
    if connectomes:
        one = connectomes[0]
        found["diffusion"] = {"atlas": one.atlas, "mu applied": str(one.mu_applied)} | _facts(one.pipeline)
    if session.morphometry:
        anatomy = min(session.morphometry, key=lambda one: not one.longitudinal)
        found["anatomy"] = {"longitudinal": str(anatomy.longitudinal)} | _facts(anatomy.pipeline)
    return Processing(found)


def flag_drift(features: Sequence[Sequence[Feature]], sessions: Sequence[Processing]) -> list[tuple[Feature, ...]]:
    """Flag the values of one person's sessions that were not processed like the others.

    The reference of a modality is the processing most of the person's sessions share; a tie goes to the earlier one.
    Where settings differ, values are another quantity: unusable. Where only the software's name or version differs, the
    reason says so and the value stays usable.

    Parameters
    ----------
    features, sessions
        One entry per session of the same person, in time order.
    """
    differences: list[dict[str, dict[str, tuple[str, str]]]] = [{} for _ in sessions]
    for modality in ("bold", "diffusion", "anatomy"):
        reference = _most_common([one.modalities[modality] for one in sessions if modality in one.modalities])
        for found, one in zip(differences, sessions, strict=True):
            if modality in one.modalities:
                found[modality] = _difference(one.modalities[modality], reference)
    return [
        tuple(_flagged(feature, found) for feature in session)
        for session, found in zip(features, differences, strict=True)
    ]


def _facts(pipeline: Pipeline) -> dict[str, str]:
    return {"pipeline": pipeline.name, "version": pipeline.version} | dict(pipeline.settings)


def _most_common(facts: Sequence[Facts]) -> Facts:
    counts = Counter(tuple(sorted(one.items())) for one in facts)
    return dict(counts.most_common(1)[0][0]) if counts else {}


def _difference(mine: Facts, reference: Facts) -> dict[str, tuple[str, str]]:
    names = sorted(mine.keys() | reference.keys())
    return {
        name: (mine.get(name, "unknown"), reference.get(name, "unknown"))
        for name in names
        if mine.get(name) != reference.get(name)
    }


def _flagged(feature: Feature, differences: Mapping[str, dict[str, tuple[str, str]]]) -> Feature:
    modalities = _MODALITIES.get(feature.name.split("_", 1)[0], ())
    found = {name: pair for modality in modalities for name, pair in differences.get(modality, {}).items()}
    if not found:
        return feature
    changes = ", ".join(f"{name} {mine} (other visits: {other})" for name, (mine, other) in found.items())
    reason = f"processed unlike this person's other visits: {changes}"
    harmless = all(name in _SOFTWARE for name in found)
    return replace(
        feature, usable=feature.usable and harmless, reason=f"{feature.reason}; {reason}" if feature.reason else reason
    )
