"""Which program made a folder of derivatives, in which version: its dataset_description.json, or else its name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from remanent._errors import Problem
from remanent.study.session import Pipeline

Kind = Literal["xcpd", "fmriprep", "qsirecon", "freesurfer"]
UNKNOWN_VERSION = "unknown"

_NAMES: Mapping[Kind, str] = {
    "xcpd": "XCP-D",
    "fmriprep": "fMRIPrep",
    "qsirecon": "QSIRecon",
    "freesurfer": "FreeSurfer",
}
_NOT_RULED_OUT = "so known errors of a program version cannot be ruled out. Copy it from the program's output."


@dataclass(frozen=True, slots=True)
class Dataset:
    """One derivative dataset: which reader understands it, and who made it."""

    kind: Kind
    pipeline: Pipeline


def kind_of(name: str) -> Kind | None:
    """The reader for a program's or a folder's name; None where there is no reader.

    >>> kind_of("XCP-D"), kind_of("qsirecon-DSIStudio"), kind_of("mriqc")
    ('xcpd', 'qsirecon', None)
    """
    plain = re.sub(r"[^a-z]", "", name.lower())
    return next((kind for kind in _NAMES if plain.startswith(kind)), None)


def describe(folder: Path, relative: str, *, described: bool, people: bool) -> tuple[Dataset | None, list[Problem]]:
    """Say what derivative dataset `folder` is; None where no reader of ours knows it.

    The first ``GeneratedBy`` entry names the maker. Later entries (XCP-D keeps fMRIPrep's) go to
    ``settings["upstream"]``: an error upstream is an error here. A dataset without a description is known by its
    folder's name, its version then being ``unknown``.

    Parameters
    ----------
    described
        Whether the folder holds a dataset_description.json.
    people
        Whether it holds participants' folders; without them a missing description is nothing to report.
    """
    by_name = kind_of(folder.name)
    if not described:
        # FreeSurfer writes no description: its version stands in each subject's files.
        report = people and by_name not in {None, "freesurfer"}
        problem = f"This dataset has no dataset_description.json, {_NOT_RULED_OUT}"
        return _undescribed(by_name), [Problem(relative, None, "", problem, "used")] if report else []
    try:
        makers = _makers(json.loads((folder / "dataset_description.json").read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        problem = f"This file cannot be read as JSON ({type(error).__name__}), {_NOT_RULED_OUT}"
        file = f"{relative}/dataset_description.json"
        return _undescribed(by_name), [Problem(file, None, "", problem, "used")] if by_name else []
    name, version = makers[0] if makers else ("", UNKNOWN_VERSION)
    kind = kind_of(name) or by_name
    if kind is None:
        return None, []
    upstream = "; ".join(f"{n} {v}" for n, v in makers[1:])
    dataset = Dataset(kind, Pipeline(name or _NAMES[kind], version, {"upstream": upstream} if upstream else {}))
    if version != UNKNOWN_VERSION or not people or kind == "freesurfer":
        return dataset, []
    problem = f"This file states no GeneratedBy with Name and Version, {_NOT_RULED_OUT}"
    return dataset, [Problem(f"{relative}/dataset_description.json", None, "GeneratedBy", problem, "used")]


def _undescribed(kind: Kind | None) -> Dataset | None:
    return None if kind is None else Dataset(kind, Pipeline(_NAMES[kind], UNKNOWN_VERSION))


def _makers(description: Any) -> list[tuple[str, str]]:
    """Names and versions, the last step first: ``GeneratedBy``, or ``PipelineDescription`` before BIDS 1.4."""
    if not isinstance(description, Mapping):
        return []
    entries = description.get("GeneratedBy", description.get("PipelineDescription", []))
    entries = [entries] if isinstance(entries, Mapping) else entries
    entries = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    return [(_text(entry.get("Name"), ""), _text(entry.get("Version"), UNKNOWN_VERSION)) for entry in entries]


def _text(value: Any, default: str) -> str:
    return (str(value).strip() or default) if isinstance(value, str | int | float) else default
