"""Electrode placements of ECT and what a session of each is taken to do, relative to a bitemporal one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from remanent.treatment.sourced import Quantity, quantity, read_data, sources_of


@dataclass(frozen=True, slots=True)
class Placement:
    """One electrode placement.

    Attributes
    ----------
    gain
        Functional gain of a session over that of a bitemporal one.
    volume_left, volume_right
        Change of hippocampal volume over an index course, percent: an imaging trace that fades, no marker of recovery.
    """

    name: str
    long_name: str
    gain: Quantity
    volume_left: Quantity
    volume_right: Quantity


@cache
def placements() -> Mapping[str, Placement]:
    """Every known placement by its code in ect.tsv."""
    document = read_data("ect.yaml")
    sources = sources_of(document)
    units = {"gain": ("ratio", 2.0), "volume_left": ("percent", 10.0), "volume_right": ("percent", 10.0)}
    table = {}
    for entry in document["placements"]:
        numbers = {
            field: quantity(entry[field], sources, f"ect.yaml, {entry['name']}, {field}", (unit,), largest)
            for field, (unit, largest) in units.items()
        }
        table[entry["name"]] = Placement(entry["name"], entry["long_name"], **numbers)
    return table
