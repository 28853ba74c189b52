"""Every number and threshold the program computes with, and every reference that was checked, as rows: what, value, unit, status, source.

Each file is read by a function of its own where its fields mean more than their names say; what no function knows is shown as it stands.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp
from pathlib import Path
from typing import Any

from remanent._yaml import read_yaml
from remanent.dynamics.priors import meaning, meanings
from remanent.plan.decide import LIMITS
from remanent.report.words import feature_label, listing, minus, number
from remanent.study.schema import ANALYTES, INSTRUMENTS

STATUSES = ("published", "derived", "assumed", "definition")
_ROOMS = ("treatment", "dynamics", "relapse", "plan", "circuits", "study", "study.derivatives", "trial")
PAPERS = "Papers"
# in the order of the page; schema.yaml is read through its own values
_GROUPS: Mapping[str, str] = {
    "thresholds.yaml": "Thresholds of the advice",
    "settings.yaml": "When a result counts as known",
    "taken.yaml": "When a drug counts as taken",
    "rules.yaml": "What counted as relapse, trial by trial",
    "stress.yaml": "Stress tests",
    "measurements.yaml": "What could be measured next",
    "warning.yaml": "Early warning from momentary ratings",
    "scales": "Rating scales",
    "crosswalks.yaml": "One rating scale read as another",
    "labs": "Laboratory values",
    "drugs.yaml": "Drugs",
    "ect.yaml": "Electrode placements",
    "priors.yaml": "Priors of the model: middle and central 90 %",
    "loadings.yaml": "What each measure may show",
    "circuits.yaml": "Circuits and quality of scans",
    "gates.yaml": "Program versions known to be wrong",
    PAPERS: "",
    "trials.yaml": "Published trials that were replayed",
    "reference.yaml": "The simulator",
}
_WITHOUT_CLAIMS = ("schema.yaml", "meanings.yaml")
_MARKS = ("status", "source", "unit", "note", "doi")
_SUBJECTS = ("drugs", "placements")  # their entries get a heading each
_SHELVES = ("drugs", "placements", "measurements", "trials", "errors", "changes", "dynamics", "circuits", "features")
_STATES = {"f": "function", "s": "structure", "e": "ECT's trace", "w": "withdrawal"}
_SPREAD_90 = 1.645


@dataclass(frozen=True, slots=True)
class Claim:
    """One number or claim; `subject`: what several rows in a row are about, `note`: what else belongs to the value."""

    group: str
    name: str
    value: str
    unit: str
    status: str
    source: str
    subject: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """What a search looks at."""
        return " ".join((self.group, self.subject, self.name, self.value, self.note, self.source)).casefold()


@cache
def claims() -> tuple[Claim, ...]:
    """Everything, by group; the files beside the code are the only place these stand."""
    found: dict[str, list[Claim]] = {name: [] for name in _GROUPS}
    for room in _ROOMS:
        for path in files(f"remanent.{room}").iterdir():
            if path.name.endswith(".yaml") and path.name not in _WITHOUT_CLAIMS:
                found.setdefault(path.name, []).extend(_in_file(path.name, path.read_text("utf-8")))
    found["scales"], found["labs"], found[PAPERS] = list(_scales()), list(_analytes()), list(_papers())
    return tuple(claim for rows in found.values() for claim in rows)


def _in_file(name: str, text: str) -> Iterator[Claim]:
    content = read_yaml(text)
    sources = content.pop("sources", {}) if isinstance(content, dict) else {}
    yield from _walk(name, (), content, {}, sources)


def _walk(
    file: str, path: tuple[str, ...], node: Any, above: Mapping[str, Any], sources: Mapping[str, Any]
) -> Iterator[Claim]:
    """Claims below a node: whatever carries a status or a source of its own, or numbers under one that does."""
    if isinstance(node, list):
        for i, part in enumerate(node):
            yield from _walk(file, (*path, _named(part, i)), part, above, sources)
    if not isinstance(node, dict):
        return
    own = {key: node[key] for key in ("status", "source") if isinstance(node.get(key), str)}
    if own:
        yield _claim(file, path, node, {**above, **own}, sources)
    for key, value in node.items():
        if key not in _MARKS and _is_nested(value):
            yield from _walk(file, (*path, str(key)), value, {**above, **own}, sources)


def _claim(
    file: str, path: tuple[str, ...], node: Mapping[str, Any], marks: Mapping[str, str], sources: Mapping[str, Any]
) -> Claim:
    names = path[1:] if path and path[0] in _SHELVES else path
    subject, names = (names[0], names[1:]) if path and path[0] in _SUBJECTS else ("", names)
    name, value, note = _READERS.get(file, _as_it_stands)(names, node)
    cited = sources.get(marks.get("source", ""))
    source = _cited(cited) if isinstance(cited, dict) else marks.get("source", "")
    doi = node.get("doi")
    return Claim(
        group=_GROUPS.get(file) or file.removesuffix(".yaml").replace("_", " ").capitalize(),
        name=name or "in general",
        value=value,
        unit={"1": "", "percent": "%"}.get(str(node.get("unit", "")), str(node.get("unit", ""))),
        status=marks.get("status") or _status_of(file, node),
        source=f"{source}, doi {doi}" if doi and str(doi) not in source else source,
        subject=subject,
        note="; ".join(str(part) for part in (note, node.get("note")) if part),
    )


def _status_of(file: str, node: Mapping[str, Any]) -> str:
    """The status of what has none of its own: where a circuit lies is a definition; counts of a trial were read or put together."""
    if file == "trials.yaml":
        return "derived" if any(arm.get("read") == "derived" for arm in node.get("arms", ())) else "published"
    return "definition" if file == "circuits.yaml" else ""


def _cited(source: Mapping[str, Any]) -> str:
    doi = f", doi {source['doi']}" if source.get("doi") else ""
    return f"{source.get('citation', '')}{doi} (read: {source.get('read', 'not said how far')})"


def _named(part: Any, i: int) -> str:
    return str(part.get("id", part.get("name", i + 1))) if isinstance(part, dict) else str(i + 1)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value))


# How the entries of one file read: name, value, what else belongs to the value.
Read = tuple[str, str, str]


def _as_it_stands(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    parts = {
        k: v for k, v in node.items() if k not in (*_MARKS, "words") and not _is_nested(v) and v not in (None, [], "")
    }
    value = _text(parts.pop("value", ""))
    rest = "; ".join(f"{key.replace('_', ' ')} {_text(part)}" for key, part in parts.items())
    name = str(node.get("words") or " ".join(path).replace("_", " ").replace("half life", "half-life"))
    return (name, value, rest) if value else (name, rest, "")


def _threshold(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    name, value, rest = _as_it_stands(path[1:] if path[:1] == ("default",) else path, node)
    said, unit = LIMITS.get(path[-1], (name, ""))
    return said, f"{value} {unit}".strip(), rest


def _prior(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    middle, sd = float(node["mean"]), float(node["sd"])
    moved = [middle * exp(z * sd) if node["scale"] == "log" else middle + z * sd for z in (-_SPREAD_90, _SPREAD_90)]
    low, high = (number(v, 2) for v in moved)
    group = path[0] if len(path) > 1 else "dynamics"
    return f"{meanings()[group][path[-1]]} ({path[-1]})", f"{number(middle, 3)} ({low} to {high})", ""


# What the fields of reference.yaml are, in words; "" is said by the name already.
_SIMULATED: Mapping[str, str] = {
    "kind": "",
    "mu": "mean",
    "mean": "mean",
    "median": "median",
    "sd_mu": "spread between patients",
    "sd_person": "spread between patients",
    "sd_within": "spread within a patient",
    "tau_days": "days in which a change fades",
    "sd_assay": "error of the assay",
    "l_f": "by function",
    "l_s": "by structure",
    "l_e": "by ECT's trace",
    "l_w": "by withdrawal",
    "sigma": "noise",
    "full_dose": "on the usual full dose",
    "sd_log": "spread of its logarithm",
    "minimum": "from",
    "maximum": "to",
    "charge_mC": "charge (mC)",
    "sd_charge_mC": "spread of the charge",
    "seizure_s": "seizure (s)",
    "sd_seizure_s": "spread of the seizure",
}
_SIMULATED_NAMES: Mapping[str, str] = {
    "b": "function lost to inflammation, to poor sleep (b)",
    "start_sd": "spread of function and structure on the first day (start_sd)",
    "crp_mg_l": "CRP",
    "tst_h": "total sleep time",
    "lithium_level": "serum level of lithium",
    "ema_mood": "momentary ratings of mood",
    "ect": "ECT sessions",
}


def _simulated(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    if path[0] in ("population", "mechanisms") and path[-1] not in _SIMULATED_NAMES:
        said = {"c": "consolidation without drugs", "a": "consolidation that drugs add"}.get(path[-1]) or meaning(
            path[-1]
        )
        where = f", {path[1]} mechanism" if path[0] == "mechanisms" else ""
        return f"{said} ({path[-1]}){where}", _text(node["value"]), ""
    scale = INSTRUMENTS.get(path[-1])
    name = _SIMULATED_NAMES.get(path[-1]) or (scale.long_name if scale else feature_label(path[-1]))
    if "value" in node:
        return name, _text(node["value"]), ""
    parts = {_SIMULATED[key]: _text(part) for key, part in node.items() if key not in _MARKS and not _is_nested(part)}
    return name, "; ".join(f"{said} {part}" for said, part in parts.items() if said), ""


def _loading(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    kinds = {"symptom": "every rating scale of depression", "ema": "means of momentary ratings"}
    return kinds.get(path[-1]) or feature_label(path[-1]), listing([_STATES[one] for one in node["loads"]]), ""


def _rule(_path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    said = [f"{node['instrument']} {node['cut_off']} or more"]
    said += [f"risen by {node['rise']} or more"] if node["rise"] else []
    said += [f"on {node['consecutive']} visits in a row"] if node["consecutive"] > 1 else []
    said += [f"at least {node['apart_days']} days apart"] if node["apart_days"] else []
    return node["title"], ", ".join(said), f"or {listing(node['events'])}" if node["events"] else ""


def _stress(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    said = [f"{node['sleep_hours_lost']} h less sleep a night"] if node["sleep_hours_lost"] else []
    said += [f"CRP × {node['crp_times']}"] if node["crp_times"] != 1 else []
    return path[-1], f"{' and '.join(said)} for {node['days']} days", ""


def _measurement(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    if "burden" not in node:
        return _as_it_stands(path, node)
    return node["words"], f"burden {node['burden']}", "1: a short questionnaire"


def _crosswalk(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    own, other = node["own"], node["hdrs17"]
    points = f"{len(own)} pairs of scores, straight lines between them"
    return f"{path[-1]} as hdrs17", f"{own[0]:g} to {own[-1]:g} as {other[0]:g} to {other[-1]:g}", points


def _circuit(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    if "meaning" not in node:
        return _as_it_stands(path, node)
    places = "; ".join(minus(f"({', '.join(map(str, place))})") for place in node.get("mni") or ())
    return f"{node['meaning']} ({path[-1]})", f"MNI {places}" if places else "by name", ""


def _gate(_path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    spans = [_span(part) for part in node.get("versions", ())]
    action = {"refused": "its values are not used", "used": "its values are used, and marked"}.get(
        node.get("action", ""), ""
    )
    said = [node.get("problem", node.get("meaning", "")), action, node.get("remedy", "")]
    return f"{node['program']} {' and '.join(spans)}".strip(), "; ".join(part for part in said if part), ""


def _span(versions: Mapping[str, str]) -> str:
    after = f"from {versions['from']}" if "from" in versions else ""
    before = f"before {versions['before']}" if "before" in versions else ""
    return " ".join(part for part in (after, before) if part)


def _trial(path: tuple[str, ...], node: Mapping[str, Any]) -> Read:
    if "arms" not in node:
        return _as_it_stands(path, node)
    arms = "; ".join(f"{a['name']}: {a['relapsed']} of {a['n']} in {a['weeks']} weeks" for a in node["arms"])
    use = {"fitted": "the reference prior was fitted to it", "held_out": "held out"}.get(node.get("split", ""), "")
    return node["title"], f"relapsed, {arms}", use


_READERS: Mapping[str, Callable[[tuple[str, ...], Mapping[str, Any]], Read]] = {
    "thresholds.yaml": _threshold,
    "priors.yaml": _prior,
    "reference.yaml": _simulated,
    "loadings.yaml": _loading,
    "rules.yaml": _rule,
    "stress.yaml": _stress,
    "measurements.yaml": _measurement,
    "crosswalks.yaml": _crosswalk,
    "circuits.yaml": _circuit,
    "gates.yaml": _gate,
    "trials.yaml": _trial,
}


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return number(float(value), 4)
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _scales() -> Iterator[Claim]:
    for scale in INSTRUMENTS.values():
        said = [f"{scale.minimum:g} to {scale.maximum:g}"]
        said += [f"remission at most {scale.remission:g}"] if scale.remission is not None else []
        said += [f"severe from {scale.severe:g}"] if scale.severe is not None else []
        name = f"{scale.name} ({scale.long_name})"
        yield Claim(_GROUPS["scales"], name, "; ".join(said), "points", scale.status, scale.source)


def _analytes() -> Iterator[Claim]:
    for one in ANALYTES.values():
        yield Claim(_GROUPS["labs"], one.long_name, f"at most {one.maximum:g}", one.unit, one.status, one.source)


_MARKDOWN = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*`]")


def _papers() -> Iterator[Claim]:
    """Rows of docs/evidence.md: what was published, and how far it was read."""
    group = ""
    columns: list[str] = []
    last: dict[str, str] = {}
    for line in _evidence_page().splitlines():
        if line.startswith("## "):
            group, columns, last = f"Published: {line[3:].strip()}", [], {}
        cells = [_plain(cell) for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and not columns:
            columns = cells
        elif cells and not set(line) <= set("|-: "):
            last = _carried(dict(zip(columns, cells, strict=False)), columns[0], last)
            yield _paper(group, columns, last)


def _plain(cell: str) -> str:
    return _MARKDOWN.sub(lambda found: found[1] or "", cell).strip()


def _carried(row: dict[str, str], first: str, last: Mapping[str, str]) -> dict[str, str]:
    """A row of its own: an empty first cell goes on with the row above, and so does its arm; a source may be the same."""
    again = (first, "source, DOI", *(("arm",) if not row[first] else ()))
    return row | {key: last.get(key, row[key]) for key in again if row.get(key, "-") in {"", "the same"}}


def _paper(group: str, columns: list[str], row: Mapping[str, str]) -> Claim:
    read, used = row.get("read", ""), row.get("used", "")
    cited = row.get("source, DOI", "")
    by_arm = "arm" in columns
    inner = [c for c in columns if c not in {columns[0], "arm", "read", "used", "source, DOI"} and row.get(c)]
    labelled = len(inner) > 1 or by_arm
    value = "; ".join(f"{c} {row[c]}" if labelled else row[c] for c in inner)
    status = "" if not read else "derived" if read.startswith("derived") else "published"
    source = cited or ("" if by_arm else row[columns[0]])
    return Claim(
        group=group,
        name=row["arm"] if by_arm else row[columns[0]],
        value=value,
        unit="",
        status=status,
        source=f"{source} (read: {read})" if read and source else f"read: {read}" if read else source,
        subject=row[columns[0]] if by_arm else "",
        note=f"used: {used}" if used else "",
    )


def _evidence_page() -> str:
    """docs/evidence.md, in the checkout or as the wheel carries it."""
    for path in (Path(__file__).parents[3] / "docs" / "evidence.md", Path(__file__).with_name("evidence.md")):
        if path.is_file():
            return path.read_text("utf-8")
    return ""
