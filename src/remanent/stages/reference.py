"""What values are compared with, learnt once and kept in OUT/reference.json: the norm behind z, and the effects of sites.

Both are learnt from people who were scanned, and applied scan by scan. A run learns one anew only where the people it
would learn from are others than those on file, or one of the scans it learnt from has changed; `remanent update` never
does. So a new visit of a known person leaves every earlier z and harmonised value as it was, to the last bit.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from remanent import __version__
from remanent._errors import Problem
from remanent.circuits.definitions import definitions
from remanent.circuits.harmonise import Harmonisation, harmonise, learn
from remanent.circuits.norm import Controls, Norm, learn_norm, z_values
from remanent.stages.scans import Scans
from remanent.study.record.files import write_whole

FORMAT = 1
NAME = "reference.json"
CONTROLS, EVERYONE = "controls", "everyone"


@dataclass(frozen=True)
class Source:
    """What something was learnt from.

    Attributes
    ----------
    names
        Features, in the order of what was learnt.
    people
        ``controls`` or ``everyone``.
    scans
        Participant and session of every scan.
    digest
        Of these scans' values, ages, sexes and sites, and of the program's version.
    """

    names: tuple[str, ...]
    people: str
    scans: tuple[tuple[str, str], ...]
    digest: str


@dataclass(frozen=True)
class Reference:
    """Norm and site effects with their sources, each None where there are too few people to learn it from."""

    norm: Norm | None = None
    norm_source: Source | None = None
    sites: Harmonisation | None = None
    sites_source: Source | None = None

    def z(self, scans: Scans) -> np.ndarray:
        """Place of every value among the healthy, [scan, feature]; NaN without a norm, an age or a sex."""
        if self.norm is None or self.norm_source is None:
            return np.full(scans.value.shape, np.nan)
        names, known = self.norm_source.names, _described(scans)
        some = scans.only(known)
        z = np.full((len(scans), len(names)), np.nan)
        z[known] = z_values(self.norm, some.take(names), some.age, some.sex, some.site.tolist())
        return _in_place(scans, names, z)

    def harmonised(self, scans: Scans) -> tuple[np.ndarray, np.ndarray]:
        """Values without the effects of sites, and their standard errors, [scan, feature]; NaN where none was learnt."""
        if self.sites is None or self.sites_source is None:
            blank = np.full(scans.value.shape, np.nan)
            return blank, blank
        names, known = self.sites_source.names, _described(scans)
        some = scans.only(known)
        covariates = _covariates(some, self.sites_source.people)
        parts = np.full((2, len(scans), len(names)), np.nan)
        parts[:, known] = harmonise(
            self.sites, some.take(names), covariates, some.site.tolist(), some.take(names, "se")
        )
        return _in_place(scans, names, parts[0]), _in_place(scans, names, parts[1])


@dataclass(frozen=True)
class _Lesson:
    """What would be learnt from today: scans, and the features that have enough of them."""

    scans: Scans
    people: str
    names: tuple[str, ...]

    @property
    def source(self) -> Source:
        return Source(self.names, self.people, self.scans.visits, _digest(self.scans, self.names))


def current(scans: Scans, out: Path, *, learn_anew: bool) -> tuple[Reference, list[Problem]]:
    """The reference on file as far as it still fits; what does not is learnt and written, if that is allowed."""
    held = _read(out / NAME)
    norm, sites = _norm_lesson(scans), _sites_lesson(scans)
    fits = _same(held.norm_source, norm), _same(held.sites_source, sites)
    if all(fits):
        return held, []
    if not learn_anew:
        return held, [_outdated()]
    if not fits[0]:
        held = replace(held, norm=_learn_norm(norm) if norm else None, norm_source=norm.source if norm else None)
    if not fits[1]:
        held = replace(held, sites=_learn_sites(sites) if sites else None, sites_source=sites.source if sites else None)
    write_whole(out / NAME, _encoded(held))
    return held, []


def why_no_sites(scans: Scans, reference: Reference) -> str:
    """Why no effects of sites were learnt, in words; empty where they were."""
    if reference.sites is not None:
        return ""
    sites = {str(site) for site in scans.site.tolist() if site}
    if not len(scans):
        return "no scan was measured"
    if len(sites) < 2:
        return f"all scans come from one site, {min(sites)}" if sites else "participants.tsv names no site"
    least = definitions().rule("minimum_site_scans")
    return f"fewer than two of {len(sites)} sites have {least:g} usable scans, of people of known age and sex, of any measure"


def _outdated() -> Problem:
    why = "z and harmonised values rest on people, or on values of theirs, that have changed since they were learnt"
    return Problem(NAME, None, "", f"{why}; they are kept as learnt. `remanent run` learns them anew.", "used")


def _described(scans: Scans) -> np.ndarray:
    return np.isfinite(scans.age) & np.isfinite(scans.sex)


def _in_place(scans: Scans, names: tuple[str, ...], part: np.ndarray) -> np.ndarray:
    """Columns of `names` back to the columns of `scans`."""
    whole = np.full(scans.value.shape, np.nan)
    at = scans.columns(names)
    whole[:, at[at >= 0]] = part[:, at >= 0]
    return whole


def _norm_lesson(scans: Scans) -> _Lesson | None:
    healthy = scans.only(scans.control & _described(scans))
    value = _first_values(healthy).value
    there = np.isfinite(value)
    enough = there.sum(axis=0) >= definitions().rule("minimum_controls")
    return _lesson(healthy, CONTROLS, enough)


def _sites_lesson(scans: Scans) -> _Lesson | None:
    """Controls where they suffice, else everyone."""
    for people in (CONTROLS, EVERYONE):
        some = scans.only(_described(scans) & (scans.control | (people == EVERYONE)))
        there, least = np.isfinite(some.value), definitions().rule("minimum_site_scans")
        large = [there[some.site == site].sum(axis=0) >= least for site in set(some.site.tolist())]
        found = _lesson(some, people, np.sum(large, axis=0) >= 2) if large else None
        if found:
            return found
    return None


def _lesson(scans: Scans, people: str, enough: np.ndarray) -> _Lesson | None:
    """Features with enough values, which are not all alike."""
    there = np.isfinite(scans.value)
    highest = np.max(np.where(there, scans.value, -np.inf), axis=0, initial=-np.inf)
    varied = highest > np.min(np.where(there, scans.value, np.inf), axis=0, initial=np.inf)
    names = tuple(name for name, keep in zip(scans.names, (enough & varied).tolist(), strict=True) if keep)
    return _Lesson(scans, people, names) if names else None


def _first_values(scans: Scans) -> Scans:
    """One line a person: of each feature the first value, at the age of the first scan."""
    _, first, person = np.unique(scans.who.astype(str), return_index=True, return_inverse=True)
    value = np.full((len(first), len(scans.names)), np.nan)
    for scan in reversed(range(len(scans))):
        value[person[scan]] = np.where(np.isfinite(scans.value[scan]), scans.value[scan], value[person[scan]])
    return replace(scans.only(first), value=value)


def _learn_norm(lesson: _Lesson) -> Norm:
    people = _first_values(lesson.scans)
    return learn_norm(people.take(lesson.names), people.age, people.sex, people.site.tolist())


def _learn_sites(lesson: _Lesson) -> Harmonisation:
    scans, covariates = lesson.scans, _covariates(lesson.scans, lesson.people)
    return learn(scans.take(lesson.names), covariates, scans.site.tolist(), scans.who.tolist())


def _covariates(scans: Scans, people: str) -> np.ndarray:
    """What must survive: age and sex; where patients are among those learnt from, also illness and having had ECT."""
    columns = [scans.age, scans.sex]
    if people == EVERYONE:
        columns += [~scans.control, ~scans.control & (scans.day >= 0)]
    return np.column_stack(columns).astype(float)


def _same(held: Source | None, now: _Lesson | None) -> bool:
    """Whether today's lesson would be taken from the same people, and every scan it was taken from is as it was."""
    if held is None or now is None:
        return held is None and now is None
    position = {visit: i for i, visit in enumerate(now.scans.visits)}
    if held.people != now.people or {who for who, _ in held.scans} != set(now.scans.who.tolist()):
        return False
    rows = [position.get(visit, -1) for visit in held.scans]
    return min(rows) >= 0 and _digest(now.scans.only(np.array(rows)), held.names) == held.digest


def _digest(scans: Scans, names: tuple[str, ...]) -> str:
    total = hashlib.sha256(__version__.encode())
    for part in (scans.take(names), scans.age, scans.sex, scans.day, scans.control):
        total.update(np.ascontiguousarray(part, dtype=float).tobytes())
    total.update("\t".join(scans.site.tolist()).encode())
    return total.hexdigest()


def _encoded(reference: Reference) -> bytes:
    content = {"format": FORMAT, **asdict(reference)}
    return (json.dumps(content, default=lambda values: values.tolist(), indent=1) + "\n").encode()


def _read(path: Path) -> Reference:
    """The reference on file; an empty one where there is none that this program understands."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            return Reference()
        norm, sites = content["norm"], content["sites"]
        return Reference(
            norm and Norm(**_arrays(Norm, norm, age_center=float(norm["age_center"]), sites=_controls(norm["sites"]))),
            _source(content["norm_source"]),
            sites and Harmonisation(**_arrays(Harmonisation, sites, sites=tuple(sites["sites"]))),
            _source(content["sites_source"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Reference()


def _arrays(kind: type, entry: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """Fields of `kind` as arrays, but for `others`."""
    return {f.name: others[f.name] if f.name in others else np.array(entry[f.name], float) for f in fields(kind)}


def _controls(entry: Mapping[str, Any]) -> dict[str, Controls]:
    return {name: Controls(**_arrays(Controls, one)) for name, one in entry.items()}


def _source(entry: Mapping[str, Any] | None) -> Source | None:
    if entry is None:
        return None
    scans = tuple((str(who), str(session)) for who, session in entry["scans"])
    return Source(tuple(entry["names"]), str(entry["people"]), scans, str(entry["digest"]))
