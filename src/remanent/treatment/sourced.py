"""Numbers that carry their unit, their source and how far they can be trusted; and the YAML tables they stand in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from remanent._errors import InputError
from remanent._yaml import read_yaml

Status = Literal["published", "derived", "assumed"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where numbers come from; `read` says whether they were seen there or come from memory."""

    citation: str
    doi: str
    read: str  # full | abstract | quoted | recalled


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number with its unit, its source and how far it can be trusted."""

    value: float
    unit: str
    source: Source
    status: Status
    note: str = ""


def read_data(name: str) -> Mapping[str, Any]:
    """A YAML table that comes with the software."""
    text = files("remanent.treatment").joinpath(name).read_text(encoding="utf-8")
    document: Mapping[str, Any] = read_yaml(text)
    return document


@cache
def taken() -> Mapping[str, Mapping[str, Any]]:
    """taken.yaml: from when on somebody counts as on a drug, and which doses can have been taken."""
    return read_data("taken.yaml")


def least_exposure() -> float:
    """Total exposure above which somebody counts as on a drug."""
    return float(taken()["taken"]["exposure"]["value"])


def sources_of(document: Mapping[str, Any]) -> Mapping[str, Source]:
    """The sources of a table by key."""
    return {key: Source(**entry) for key, entry in document["sources"].items()}


def quantity(
    entry: Mapping[str, Any], sources: Mapping[str, Source], where: str, units: tuple[str, ...], largest: float
) -> Quantity:
    """Check one entry {value, unit, source, status, note?} and give it its type.

    Raises
    ------
    InputError
        A part is missing, the value is not in (0, largest], or unit, source or status is unknown.
    """
    missing = {"value", "unit", "source", "status"} - entry.keys()
    if missing:
        raise InputError(f"no {', '.join(sorted(missing))}", where=where, why="every number says where it comes from")
    value = float(entry["value"])
    if not 0.0 < value <= largest:
        raise InputError(f"value {value:g}", where=where, why=f"it must be above 0 and at most {largest:g}")
    if entry["unit"] not in units:
        raise InputError(f"unit {entry['unit']!r}", where=where, do=f"Use {' or '.join(units)}")
    if entry["status"] not in get_args(Status) or entry["source"] not in sources:
        raise InputError(
            f"status {entry['status']!r}, source {entry['source']!r}",
            where=where,
            do=f"Use {', '.join(get_args(Status))} and a key of sources",
        )
    return Quantity(value, entry["unit"], sources[entry["source"]], entry["status"], entry.get("note", ""))
