"""Regional PET values and EEG measures, which a study gives as tables, as features like those measured from scans."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from remanent._errors import Problem, UsageError
from remanent.circuits.feature import Feature
from remanent.circuits.spectrum import spectrum_features
from remanent.study.schema import OUTPUT
from remanent.study.table import Table, merged, missing

EEG = "phenotype/eeg.tsv"
_PSD = re.compile(r"psd_(\d+(?:\.\d+)?)_?hz", re.IGNORECASE)


def with_tables(features: Table, tables: Mapping[str, Table]) -> tuple[Table, list[Problem]]:
    """Add the rows of pet.tsv and eeg.tsv: ``pet_<measure>_<region>``, ``eeg_<measure>_<region>``, no error known.

    A row belongs to the scan visit of the same day; without one its session is called ``pet-day<day>`` or
    ``eeg-day<day>``. Rows ``psd_<frequency>hz`` of one day and region are a spectrum, of which exponent, offset and
    corrected band powers are added instead.
    """
    visits = tables["sessions"]
    days = zip(visits["participant_id"], visits["day"].tolist(), strict=True)
    session = dict(zip(days, visits["session_id"], strict=True))
    eeg = tables["eeg"]
    of_spectrum = np.array([_hertz(name) is not None for name in eeg["measure"]], dtype=bool)
    spectra, problems = _spectra(eeg.select(of_spectrum), session)
    parts = [features, _rows("pet", tables["pet"], session), _rows("eeg", eeg.select(~of_spectrum), session), spectra]
    whole = merged(features.spec, parts)
    return replace(whole, columns={**whole.columns, "usable": whole["usable"].astype(bool)}), problems


def feature_name(kind: str, measure: str, region: str) -> str:
    """Lower-case letters, digits and underscores, in any script.

    >>> feature_name("pet", "UCB-J_VT", "Left hippocampus")
    'pet_ucb_j_vt_left_hippocampus'
    """
    return "_".join(re.sub(r"[\W_]+", "_", part.lower()).strip("_") for part in (kind, measure, region))


def _rows(kind: str, table: Table, session: Mapping[tuple[str, float], str]) -> Table:
    names = zip(table["measure"], table["region"], strict=True)
    found = [
        Feature(feature_name(kind, *name), float(v), np.nan, True)
        for name, v in zip(names, table["value"], strict=True)
    ]
    return _table(kind, table, found, session)


def _spectra(table: Table, session: Mapping[tuple[str, float], str]) -> tuple[Table, list[Problem]]:
    """Features of every spectrum; where specparam is not installed, none, and why."""
    spectra: dict[tuple[str, float, str], list[int]] = defaultdict(list)
    for i, key in enumerate(zip(table["participant_id"], table["day"].tolist(), table["region"], strict=True)):
        spectra[key].append(i)
    hertz = np.array([_hertz(name) or np.nan for name in table["measure"]], dtype=float)
    found: list[Feature] = []
    rows: list[int] = []
    try:
        for (_, _, region), mine in spectra.items():
            made = tuple(spectrum_features(hertz[mine], table["value"][mine], feature_name("", "", region).strip("_")))
            found += made
            rows += [mine[0]] * len(made)
    except UsageError as error:
        why = f"{len(spectra)} spectra are not taken apart: {error}"
        return _table("eeg", table.select(np.array([], dtype=int)), [], session), [
            Problem(EEG, None, "measure", why, "set_aside")
        ]
    return _table("eeg", table.select(np.array(rows, dtype=int)), found, session), []


def _hertz(measure: str) -> float | None:
    match = _PSD.fullmatch(measure.strip())
    return float(match[1]) if match else None


def _table(kind: str, table: Table, found: Sequence[Feature], session: Mapping[tuple[str, float], str]) -> Table:
    """Features as rows of features.tsv, each on the day of its row of `table`."""
    visits = zip(table["participant_id"], table["day"].tolist(), strict=True)
    columns = {column.name: missing(column, len(table)) for column in OUTPUT["features"].columns} | {
        "participant_id": table["participant_id"],
        "session_id": _objects([session.get((who, day), f"{kind}-day{day:g}") for who, day in visits]),
        "day": table["day"],
        "feature": _objects([one.name for one in found]),
        "value": np.array([one.value for one in found], dtype=float),
        "usable": _objects([one.usable for one in found]),
        "reason": _objects([one.reason or None for one in found]),
    }
    return Table(OUTPUT["features"], columns, table.file, table.row)


def _objects(values: Sequence[object]) -> np.ndarray:
    return np.array(values, dtype=object)
