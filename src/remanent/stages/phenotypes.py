"""Regional PET values and EEG measures, which a study gives as tables, as features like those measured from scans."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from remanent.study.schema import OUTPUT
from remanent.study.table import Table, merged, missing


def with_tables(features: Table, tables: Mapping[str, Table]) -> Table:
    """Add the rows of pet.tsv and eeg.tsv: ``pet_<measure>_<region>``, ``eeg_<measure>_<region>``, no error known.

    A row belongs to the scan visit of the same day; without one its session is called ``pet-day<day>`` or
    ``eeg-day<day>``.
    """
    visits = tables["sessions"]
    days = zip(visits["participant_id"], visits["day"].tolist(), strict=True)
    session = dict(zip(days, visits["session_id"], strict=True))
    whole = merged(features.spec, [features, *(_rows(kind, tables[kind], session) for kind in ("pet", "eeg"))])
    return replace(whole, columns={**whole.columns, "usable": whole["usable"].astype(bool)})


def feature_name(kind: str, measure: str, region: str) -> str:
    """Lower-case letters, digits and underscores, in any script.

    >>> feature_name("pet", "UCB-J_VT", "Left hippocampus")
    'pet_ucb_j_vt_left_hippocampus'
    """
    return "_".join(re.sub(r"[\W_]+", "_", part.lower()).strip("_") for part in (kind, measure, region))


def _rows(kind: str, table: Table, session: Mapping[tuple[str, float], str]) -> Table:
    n = len(table)
    columns = {column.name: missing(column, n) for column in OUTPUT["features"].columns}
    visits = zip(table["participant_id"], table["day"].tolist(), strict=True)
    columns["participant_id"], columns["day"] = table["participant_id"], table["day"]
    columns["session_id"] = _objects([session.get((who, day), f"{kind}-day{day:g}") for who, day in visits])
    names = zip(table["measure"], table["region"], strict=True)
    columns["feature"] = _objects([feature_name(kind, measure, region) for measure, region in names])
    columns["value"] = table["value"]
    columns["usable"] = _objects([True] * n)
    return Table(OUTPUT["features"], columns, table.file, table.row)


def _objects(values: list[object]) -> np.ndarray:
    return np.array(values, dtype=object)
