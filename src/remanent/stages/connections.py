"""Which pairs of parcels count as connected in a study: learnt from all its connectomes once, then fixed.

A later visit must not choose its own targets, nor change those of earlier ones, so the choice is kept in the record
(``draws/connections-<atlas>``) and used by every later run. Removing that file lets the next run choose anew.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from remanent._errors import Problem, RemanentError
from remanent.circuits.wiring import Connections, Votes, consistent_connections, votes
from remanent.study.bids import SessionFiles
from remanent.study.derivatives.qsirecon import read_qsirecon
from remanent.study.store import Record

OUTGROWN = 4  # times as many connectomes as the choice was made from: say so

Map = Callable[[Callable[[SessionFiles], Votes | None], Sequence[SessionFiles]], Iterator[Votes | None]]


@dataclass(frozen=True)
class Fixed:
    """The connections of a study, and a digest that changes with them; None and empty where there are none."""

    connections: Connections | None = None
    digest: str = ""


def has_connectome(session: SessionFiles) -> bool:
    """Whether a visit has a file of structural connectomes."""
    return any(f.kind == "qsirecon" and f.suffix == "connectivity" and f.extension == ".mat" for f in session.files)


def fixed_connections(
    record: Record, root: Path, sessions: Sequence[SessionFiles], atlas: str | None, each: Map
) -> Fixed:
    """The study's connections on `atlas`: those on record, else those of all `sessions` together, which are then recorded."""
    wired = [session for session in sessions if has_connectome(session)]
    if atlas is None or not wired:
        return Fixed()
    name = f"connections-{re.sub(r'[^A-Za-z0-9]', '-', atlas)}"
    path = record.path_of_draws(name)
    if path is None:
        learnt = consistent_connections(one for one in each(partial(_votes, root, atlas), wired) if one is not None)
        if learnt is None:
            return Fixed()
        content = {
            "label": np.array(learnt.labels, dtype=object),
            "connected": learnt.connected.astype(np.int8),
            "sessions": np.full(len(learnt.labels), learnt.sessions),
        }
        path = record.put_draws(name, content)
    known = record.draws(name)
    fixed = Connections(tuple(map(str, known["label"])), known["connected"].astype(bool), int(known["sessions"][0]))
    record.put_problems("connections", _outgrown(path.name, fixed.sessions, len(wired)))
    return Fixed(fixed, path.name)


def _votes(root: Path, atlas: str, session: SessionFiles) -> Votes | None:
    """One visit's votes; what cannot be read is said when the visit is measured."""
    try:
        return votes(read_qsirecon(root, session.files, atlas=atlas)[0], atlas)
    except RemanentError:
        return None


def _outgrown(file: str, chosen_from: int, now: int) -> list[Problem]:
    if now < OUTGROWN * chosen_from:
        return []
    why = f"The connections of structure-function coupling were chosen from {chosen_from} connectomes; the study now has {now}"
    do = "They are kept so that earlier values stay as they are. To choose anew, remove this file and run again."
    return [Problem(f"draws/{file}", None, "", f"{why}. {do}", "used")]
