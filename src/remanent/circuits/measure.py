"""One session in, its features out: a pure function that any executor can map over sessions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from remanent.circuits.atlas import choose_atlas, parcellation
from remanent.circuits.bold import prepare
from remanent.circuits.coupling import coupling_features
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature
from remanent.circuits.function import function_features
from remanent.circuits.quality import quality_features, scan_problem
from remanent.circuits.sampling import memory
from remanent.circuits.structure import morphometry_features, scalar_of, tract_features, wiring_features
from remanent.circuits.timescale import timescale_features
from remanent.circuits.wiring import Connections, wire
from remanent.study.session import Run, SessionData


def measure(
    session: SessionData, *, atlas: str | None = None, connections: Connections | None = None
) -> tuple[Feature, ...]:
    """Measure every circuit of one session.

    Parameters
    ----------
    session
        What was read of one scan visit.
    atlas
        The study's atlas (`choose_atlas`). None: the best this session has by itself, right for a single session only.
    connections
        Pairs that count as connected in every session of the study (`wiring.consistent_connections`), for
        structure-function coupling. None: the session's own.

    Returns
    -------
    tuple of Feature
        In a fixed order. A modality that was not scanned gives no rows; what was scanned and cannot be used gives rows
        with a reason.
    """
    atlas = atlas or own_atlas(session)
    parcellated = _parcellated(session, atlas, connections) if atlas else ()
    return (*parcellated, *_anatomy(session), *_tracts(session))


def atlases(session: SessionData) -> frozenset[str]:
    """Return the atlases of a session's BOLD runs, or of its connectomes if it has no run: input of `choose_atlas`."""
    functional = frozenset(run.atlas for run in session.runs)
    return functional or frozenset(connectome.atlas for connectome in session.connectomes)


def runs_to_measure(runs: Sequence[Run], atlas: str) -> list[Run]:
    """Choose the runs on this atlas: those at rest if there are any."""
    mine = [run for run in runs if run.atlas == atlas]
    return [run for run in mine if run.task.lower().startswith("rest")] or mine


def own_atlas(session: SessionData) -> str | None:
    """Choose the best atlas of one session by itself, one that its connectomes have too if there is any."""
    available = atlases(session)
    both = available & {connectome.atlas for connectome in session.connectomes}
    return choose_atlas([both or available]) if available else None


def _parcellated(session: SessionData, atlas: str, connections: Connections | None) -> Iterator[Feature]:
    runs = runs_to_measure(session.runs, atlas)
    wiring = wire(session.connectomes, atlas)
    if wiring:
        yield from _doubted(wiring_features(wiring, parcellation(atlas, wiring.labels)), wiring.doubts)
    if not runs:
        return
    doubts = tuple(dict.fromkeys(doubt for run in runs for doubt in run.doubts))
    bold = prepare(runs)
    places = parcellation(atlas, bold.labels)
    problem = scan_problem(bold, runs)
    past = memory(bold)
    yield from quality_features(bold, runs)
    yield from _doubted(function_features(bold, places, past, problem), doubts)
    yield from _doubted(timescale_features(bold, places, past, problem), doubts)
    if wiring:
        yield from _doubted(coupling_features(bold, wiring, places, problem, connections), doubts + wiring.doubts)


def _anatomy(session: SessionData) -> Iterator[Feature]:
    """Longitudinal FreeSurfer results before cross-sectional ones."""
    best = min(session.morphometry, key=lambda one: not one.longitudinal, default=None)
    if best:
        yield from _doubted(morphometry_features(best), best.doubts)


def _tracts(session: SessionData) -> Iterator[Feature]:
    for kind in definitions().tract_scalars:
        best = scalar_of(session.tracts, kind)
        if best:
            yield from _doubted(tract_features(kind, best), best.doubts)


def _doubted(features: Iterable[Feature], doubts: Sequence[str]) -> Iterator[Feature]:
    """Add the known errors of the software that made the input to the reason of every value; they stay usable."""
    for feature in features:
        said = "; ".join(part for part in (feature.reason, *doubts) if part)
        yield replace(feature, reason=said)
