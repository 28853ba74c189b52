"""One session in, its features out: a pure function that any executor can map over sessions."""

from collections.abc import Iterator, Sequence

import numpy as np

from remanent._types import Square
from remanent.circuits.atlas import choose_atlas
from remanent.circuits.bold import Bold, prepare
from remanent.circuits.coupling import coupling_features
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature
from remanent.circuits.function import function_features
from remanent.circuits.quality import quality_features, scan_problem
from remanent.circuits.structure import connectome_features, log_weights, morphometry_features
from remanent.study.session import Connectome, Run, SessionData


def measure(session: SessionData, *, atlas: str | None = None) -> tuple[Feature, ...]:
    """Measure every circuit of one session.

    Parameters
    ----------
    session
        What was read of one scan visit.
    atlas
        The study's atlas (`choose_atlas`). None: the best this session has by itself, which is right for a single
        session only.

    Returns
    -------
    tuple of Feature
        In a fixed order. Modalities that were not scanned give no rows; what was scanned and cannot be used gives rows
        with a reason.
    """
    atlas = atlas or _own_atlas(session)
    return tuple(_features(session, atlas)) if atlas else tuple(_anatomy(session))


def atlases(session: SessionData) -> frozenset[str]:
    """Return the atlases of a session's BOLD runs, or of its connectomes if it has no run: input of `choose_atlas`."""
    functional = frozenset(run.atlas for run in session.runs)
    return functional or frozenset(connectome.atlas for connectome in session.connectomes)


def _own_atlas(session: SessionData) -> str | None:
    available = atlases(session)
    both = available & {connectome.atlas for connectome in session.connectomes}
    return choose_atlas([both or available]) if available else None


def _features(session: SessionData, atlas: str) -> Iterator[Feature]:
    runs = resting_runs(session.runs, atlas)
    bold = prepare(runs) if runs else None
    problem = scan_problem(bold, runs) if bold else ""
    connectome = preferred_connectome(session.connectomes, atlas)
    if bold:
        yield from quality_features(bold, runs)
        yield from function_features(bold, problem)
    if connectome:
        yield from connectome_features(connectome, definitions().weight_scales[connectome.measure])
    if bold and connectome:
        yield from coupling_features(bold, _aligned(connectome, bold), problem)
    yield from _anatomy(session)


def _anatomy(session: SessionData) -> Iterator[Feature]:
    """Longitudinal FreeSurfer results before cross-sectional ones."""
    ordered = sorted(session.morphometry, key=lambda one: not one.longitudinal)
    if ordered:
        yield from morphometry_features(ordered[0])


def resting_runs(runs: Sequence[Run], atlas: str) -> list[Run]:
    """Choose the runs to measure: this atlas, rest if there is any, the concatenation of runs rather than its parts."""
    mine = [run for run in runs if run.atlas == atlas]
    rest = [run for run in mine if run.task.startswith("rest")] or mine
    whole = [run for run in rest if "_run-" not in run.source]
    return whole if whole and len(whole) < len(rest) else rest


def preferred_connectome(connectomes: Sequence[Connectome], atlas: str) -> Connectome | None:
    """Choose the connectome of this atlas whose measure stands first in circuits.yaml; None if no measure is known."""
    rank = {measure: i for i, measure in enumerate(definitions().weight_scales)}
    known = [one for one in connectomes if one.atlas == atlas and one.measure in rank]
    return min(known, key=lambda one: rank[one.measure], default=None)


def _aligned(connectome: Connectome, bold: Bold) -> Square:
    """Connectome log weights in the order of the BOLD parcels; NaN for parcels it does not have."""
    w = log_weights(connectome, definitions().weight_scales[connectome.measure])
    position = {label: i for i, label in enumerate(connectome.labels)}
    there = [i for i, label in enumerate(bold.labels) if label in position]
    index = [position[bold.labels[i]] for i in there]
    aligned = np.full((len(bold.labels), len(bold.labels)), np.nan)
    aligned[np.ix_(there, there)] = w[np.ix_(index, index)]
    return aligned
