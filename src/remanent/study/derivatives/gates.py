"""Versions known to be wrong, and versions from which a value means something else (gates.yaml), asked of one value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from remanent.study.session import Pipeline

Affected = Literal["function", "connectome", "morphometry"]
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """One known error.

    Attributes
    ----------
    versions
        Half-open ranges [from, before) of version numbers; an empty tuple leaves that side open.
    when
        Settings the value must have, as shell patterns.
    action
        ``refused``: the value is not handed on; ``used``: it is, with its doubt.
    """

    id: str
    program: str
    versions: tuple[tuple[Version, Version], ...]
    affects: Affected
    action: Literal["refused", "used"]
    problem: str
    remedy: str
    source: str
    status: str
    when: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What is wrong, what to do, and who says so."""
        return f"{self.problem[0].upper()}{self.problem[1:]}. {self.remedy} ({self.source})."


@dataclass(frozen=True, slots=True)
class Change:
    """A version from which a value means something else: visits before and after are not alike. `at` empty: any."""

    id: str
    program: str
    at: Version
    affects: Affected
    problem: str
    source: str
    status: str
    when: Mapping[str, str] = field(default_factory=dict)


def version_number(text: str) -> Version:
    """The leading numbers of a version; empty where there are none.

    >>> version_number("26.1.0rc1+3.gabc"), version_number("unknown")
    ((26, 1, 0), ())
    """
    match = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)", text.strip())
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def known_errors(pipeline: Pipeline, affects: Affected, gates: Sequence[Gate] | None = None) -> tuple[Gate, ...]:
    """The known errors of the programs behind a value, upstream ones included; `gates` replaces the shipped list."""
    chain = tuple(_chain(pipeline))
    return tuple(
        gate
        for gate in (shipped()[0] if gates is None else gates)
        if gate.affects == affects
        and _matches(gate.when, pipeline.settings)
        and any(gate.program == program and _within(version, gate.versions) for program, version in chain)
    )


def changes_between(first: Pipeline, second: Pipeline, affects: Affected) -> tuple[Change, ...]:
    """The changes of meaning that lie between two values of one person: how `first` and `second` are not alike."""
    before, after = dict(_chain(first)), dict(_chain(second))
    return tuple(
        change
        for change in shipped()[1]
        if change.affects == affects
        and (_matches(change.when, first.settings) or _matches(change.when, second.settings))
        and _crossed(change, before.get(change.program, ()), after.get(change.program, ()))
    )


@cache
def shipped() -> tuple[tuple[Gate, ...], tuple[Change, ...]]:
    """The errors and changes of gates.yaml."""
    data = yaml.safe_load((files("remanent.study.derivatives") / "gates.yaml").read_text(encoding="utf-8"))
    return tuple(_gate(entry) for entry in data["errors"]), tuple(_change(entry) for entry in data["changes"])


def _gate(entry: Mapping[str, Any]) -> Gate:
    ranges = tuple((version_number(r.get("from", "")), version_number(r.get("before", ""))) for r in entry["versions"])
    return Gate(**{**entry, "program": _program(entry["program"]), "versions": ranges})


def _change(entry: Mapping[str, Any]) -> Change:
    return Change(**{**entry, "program": _program(entry["program"]), "at": version_number(entry["at"])})


def _program(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _chain(pipeline: Pipeline) -> Iterator[tuple[str, Version]]:
    """Programs and versions behind a value: its maker, then what `dataset.describe` put in ``settings["upstream"]``."""
    yield _program(pipeline.name), version_number(pipeline.version)
    for maker in filter(None, pipeline.settings.get("upstream", "").split("; ")):
        name, _, version = maker.rpartition(" ")
        yield _program(name), version_number(version)


def _within(version: Version, ranges: Sequence[tuple[Version, Version]]) -> bool:
    return bool(version) and any(
        (not start or _padded(version) >= _padded(start)) and (not end or _padded(version) < _padded(end))
        for start, end in ranges
    )


def _crossed(change: Change, first: Version, second: Version) -> bool:
    if not first or not second:
        return False
    low, high = sorted((_padded(first), _padded(second)))
    return low != high if not change.at else low < _padded(change.at) <= high


def _padded(version: Version) -> Version:
    """Versions of one length, so that 26.1 equals 26.1.0."""
    return version + (0,) * (4 - len(version))


def _matches(when: Mapping[str, str], settings: Mapping[str, str]) -> bool:
    return all(key in settings and fnmatchcase(settings[key], pattern) for key, pattern in when.items())
