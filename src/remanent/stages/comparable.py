"""Values made comparable over months, sites and versions: everything about a feature that needs more than its own session."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from remanent.stages.changes import changes
from remanent.stages.drift import flag_visits
from remanent.stages.phenotypes import with_tables
from remanent.stages.reference import CONTROLS, NAME, Reference, current, why_no_sites
from remanent.stages.scans import Scans, as_scans
from remanent.study.store import Record
from remanent.study.table import Table


@dataclass(frozen=True)
class Comparable:
    """The features of a study, compared.

    Attributes
    ----------
    features
        As features.tsv has them.
    for_model
        The same, `value` and `se` being what the state model sees.
    changes
        Columns of changes.tsv.
    flags
        By participant, what a reader of its page must know.
    files
        What was learnt, as files in OUT.
    sites_from, no_sites
        Whose scans the effects of sites were learnt from; or why none were learnt.
    """

    features: Table
    for_model: Table
    changes: Mapping[str, list[Any]]
    flags: Mapping[str, tuple[str, ...]]
    files: tuple[Path, ...]
    sites_from: str = ""
    no_sites: str = ""

    @property
    def cohort_flags(self) -> tuple[str, ...]:
        """The same for the cohort page."""
        if not self.flags:
            return ()
        who = f"visits of {len(self.flags)} participants were not processed alike"
        return (f"{who}; their pages say what differs, features.tsv which values it touches",)


def compare(record: Record, tables: Mapping[str, Table], out: Path, *, learn_anew: bool) -> Comparable:
    """Compare what is on record; problems found are put there. `learn_anew`: see `reference.current`."""
    drifted = flag_visits(record.features(), record.table("processing"))
    features, unread = with_tables(drifted.features, tables)
    scans = as_scans(features, tables["participants"])
    reference, outdated = current(scans, out, learn_anew=learn_anew)
    record.put_problems("compare", [*drifted.problems, *unread, *outdated])
    placed, harmonised = reference.z(scans), reference.harmonised(scans)
    z, value, se = (_column(len(features), scans, part) for part in (placed, *harmonised))
    features = replace(features, columns={**features.columns, "z": z, "harmonised": value, "harmonised_se": se})
    return Comparable(
        features=features,
        for_model=_for_model(features, reference),
        changes=changes(scans, placed, _minutes(features, scans), _reasons(features, scans)),
        flags={
            who: tuple(f"{one}; a change at that visit may be the software's" for one in words)
            for who, words in drifted.words.items()
        },
        files=(out / NAME,) if (out / NAME).is_file() else (),
        sites_from=reference.sites_source.people if reference.sites_source else "",
        no_sites=why_no_sites(scans, reference),
    )


def _column(n: int, scans: Scans, part: np.ndarray) -> np.ndarray:
    """[scan, feature] back to the rows of the table, [row]."""
    column = np.full(n, np.nan)
    there = scans.row >= 0
    column[scans.row[there]] = part[there]
    return column


def _for_model(features: Table, reference: Reference) -> Table:
    """Harmonised values where the effects of sites were learnt from healthy people; raw ones elsewhere.

    A patient belongs to one site, and the model gives each patient an intercept for each measure, which takes up a
    site's offset. Effects learnt from patients could remove what illness and treatment do; they are never used here.
    """
    source = reference.sites_source
    if source is None or source.people != CONTROLS:
        return features
    learnt = np.isin(features["feature"].astype(str), source.names)
    value = np.where(learnt, features["harmonised"], features["value"])
    se = np.where(learnt, features["harmonised_se"], features["se"])
    return replace(features, columns={**features.columns, "value": value, "se": se})


def _minutes(features: Table, scans: Scans) -> np.ndarray:
    """Usable minutes of every scan, NaN where unknown, [scan]."""
    rows = features.select(features["feature"] == "qc_minutes_usable")
    visits = zip(rows["participant_id"], (session or "" for session in rows["session_id"]), strict=True)
    known = dict(zip(visits, rows["value"].tolist(), strict=True))
    return np.array([known.get(visit, np.nan) for visit in scans.visits], dtype=float)


def _reasons(features: Table, scans: Scans) -> np.ndarray:
    return np.array([*features["reason"].tolist(), None], dtype=object)[scans.row]  # row -1: none
