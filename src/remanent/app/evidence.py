"""Every number and threshold the program computes with, and every reference that was checked, as rows: what, value, unit, status, source."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from remanent._yaml import read_yaml
from remanent.study.schema import ANALYTES, INSTRUMENTS

STATUSES = ("published", "derived", "assumed")
_ROOMS = ("treatment", "dynamics", "relapse", "plan", "circuits", "study.derivatives", "trial")
_GROUPS: Mapping[str, str] = {
    "drugs.yaml": "Drugs",
    "ect.yaml": "Electrode placements",
    "priors.yaml": "Priors of the model",
    "settings.yaml": "What is called identifiable or informed",
    "thresholds.yaml": "Thresholds of the advice",
    "circuits.yaml": "Circuits and quality rules",
    "gates.yaml": "Program versions known to be wrong",
    "reference.yaml": "The simulator",
}
_MARKS = ("status", "source")


@dataclass(frozen=True, slots=True)
class Claim:
    """One number or claim."""

    group: str
    name: str
    value: str
    unit: str
    status: str
    source: str


@cache
def claims() -> tuple[Claim, ...]:
    """Everything, by group; the files beside the code are the only place these stand."""
    paths = [path for room in _ROOMS for path in files(f"remanent.{room}").iterdir() if path.name.endswith(".yaml")]
    found = [
        claim for path in sorted(paths, key=lambda p: p.name) for claim in _in_file(path.name, path.read_text("utf-8"))
    ]
    return (*found, *_scales(), *_papers())


def _in_file(name: str, text: str) -> Iterator[Claim]:
    content = read_yaml(text)
    sources = content.pop("sources", {}) if isinstance(content, dict) else {}
    group = _GROUPS.get(name, name.removesuffix(".yaml").replace("_", " ").capitalize())
    for claim in _walk(group, (), content, {}):
        cited = sources.get(claim.source)
        yield replace(claim, source=_cited(cited)) if isinstance(cited, dict) else claim


def _cited(source: Mapping[str, Any]) -> str:
    doi = f", doi {source['doi']}" if source.get("doi") else ""
    return f"{source.get('citation', '')}{doi} ({source.get('read', 'not said how far it was read')})"


def _walk(group: str, path: tuple[str, ...], node: Any, above: Mapping[str, Any]) -> Iterator[Claim]:
    """Claims below a node: whatever carries a status or a source of its own, or numbers under one that does."""
    if isinstance(node, list):
        for i, part in enumerate(node):
            yield from _walk(group, (*path, _named(part, i)), part, above)
    if not isinstance(node, dict):
        return
    own = {key: node[key] for key in _MARKS if isinstance(node.get(key), str)}
    if own:
        parts = {key: value for key, value in node.items() if key not in (*_MARKS, "unit") and not _is_nested(value)}
        yield Claim(
            group,
            " ".join(path).replace("_", " ") or "all of it",
            _shown(parts),
            str(node.get("unit", "")),
            str(own.get("status", above.get("status", ""))),
            str(own.get("source", above.get("source", ""))),
        )
    for key, value in node.items():
        if key not in _MARKS and _is_nested(value):
            yield from _walk(group, (*path, str(key)), value, {**above, **own})


def _named(part: Any, i: int) -> str:
    return str(part.get("id", part.get("name", i + 1))) if isinstance(part, dict) else str(i + 1)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value))


def _shown(parts: Mapping[str, Any]) -> str:
    if set(parts) == {"value"}:
        return _text(parts["value"])
    return "; ".join(f"{key.replace('_', ' ')}: {_text(value)}" for key, value in parts.items())


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value) if value is None else str(value)


def _scales() -> Iterator[Claim]:
    for scale in INSTRUMENTS.values():
        value = f"{scale.minimum:g} to {scale.maximum:g}; remission: {scale.remission}; severe from: {scale.severe}"
        yield Claim("Rating scales", f"{scale.name} ({scale.long_name})", value, "point", scale.status, scale.source)
    for analyte in ANALYTES.values():
        yield Claim(
            "Laboratory",
            analyte.long_name,
            f"at most {analyte.maximum:g}",
            analyte.unit,
            analyte.status,
            analyte.source,
        )


def _papers() -> Iterator[Claim]:
    """Rows of docs/evidence.md: what was published, and how far it was read."""
    group, above = "", ""
    columns: list[str] = []
    for line in _evidence_page().splitlines():
        if line.startswith("## "):
            group, columns = f"Published: {line[3:].strip()}", []
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and not columns:
            columns = cells
        elif cells and not set(line) <= set("|-: "):
            row = dict(zip(columns, cells, strict=False))
            read, first = row.pop("read", ""), next(iter(row), "")
            name = above = row.pop(first, "") or above  # an empty first cell: the row above goes on
            value = "; ".join(f"{key}: {cell}" for key, cell in row.items() if cell)
            yield Claim(group, name, value, "", f"read: {read}" if read else "", name)


def _evidence_page() -> str:
    """docs/evidence.md, in the checkout or as the wheel carries it."""
    for path in (Path(__file__).parents[3] / "docs" / "evidence.md", Path(__file__).with_name("evidence.md")):
        if path.is_file():
            return path.read_text("utf-8")
    return ""
