#!/usr/bin/env python3
"""Write docs/formats.md from the schema; run it after every change of src/remanent/study/schema.yaml."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

from remanent.study import redcap, schema
from remanent.study.schema import Column, TableSpec

INTRODUCTION = """# Formats

Written from `src/remanent/study/schema.yaml` by `tools/write_formats.py`: do not edit.

All tables are UTF-8, tab-separated, with a header line; `n/a` or an empty cell is missing; a decimal point, no thousands separator.
A row that cannot be used is set aside with file, line, column and reason in problems.tsv; the other rows are used. A wrong value in a column that
may be missing costs the value, not the row. Column names and the names of instruments, drugs, placements, diagnoses, analytes and events are
matched without regard to case. Nothing is guessed: a column with another name is kept in the record and not interpreted. A column whose name looks
as if it identified a person (name, record number, e-mail, phone, birth date, address; English, German, French, Spanish) is refused.

`day` is the number of days since the last session of the index ECT course (day 0), negative before it; without ECT, since the first record. In every
table but sessions, `session_id` may stand in its place. A sessions table may give `acq_time` (ISO 8601) in place of `day`: the visit is then placed by a visit
of the same participant that has both, or, without ECT, counted from the first visit; after ECT it cannot be placed otherwise.

A JSON sidecar beside a table may give `Units`, `Minimum`, `Maximum` and `Direction` (higher_is_worse, higher_is_better) of a column. Other units that are
understood are listed below; values are converted.
"""


def text() -> str:
    """The whole document."""
    parts = [
        INTRODUCTION,
        "## In: a study\n",
        *map(_table, schema.INPUT.values()),
        _instruments(),
        _analytes(),
        _sleep(),
    ]
    parts += [_names(), _units(), _redcap(), "## Out: results\n", *map(_table, schema.OUTPUT.values())]
    return "\n".join(parts)


def _table(spec: TableSpec) -> str:
    unique = f" No two rows share {', '.join(spec.key)}." if spec.key else ""
    rows = (
        (f"**{c.name}**" if c.required else c.name, _kind(c), c.unit, _range(c.minimum, c.maximum), c.meaning)
        for c in spec.columns
    )
    head = f"### {spec.name}\n\n`{spec.path}`. {spec.meaning}{unique}\n\n"
    return head + _rows(("column (**needed**)", "kind", "unit", "range", "meaning"), rows)


def _kind(column: Column) -> str:
    return ", ".join(f"`{level}` ({meaning.rstrip('.')})" for level, meaning in column.levels.items()) or column.kind


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None and maximum is None:
        return ""
    return f"{'' if minimum is None else f'{minimum:g}'} to {'' if maximum is None else f'{maximum:g}'}".strip()


def _instruments() -> str:
    rows = (
        (
            f"`{i.name}`",
            i.long_name,
            i.domain,
            _range(i.minimum, i.maximum),
            "worse" if i.direction == "higher_is_worse" else "better",
            "" if i.remission is None else f"{i.remission:g}",
            "" if i.severe is None else f"{i.severe:g}",
            i.source,
            i.status,
            i.read,
            ", ".join(i.synonyms),
        )
        for i in schema.INSTRUMENTS.values()
    )
    head = (
        "file name",
        "scale",
        "domain",
        "range",
        "higher is",
        "remission up to",
        "severe from",
        "source",
        "status",
        "read",
        "also",
    )
    return (
        "## Known instruments\n\nStatus: published (stands in the source), derived (computed from it), assumed (convention or choice).\n"
        "Read: how the cut-offs were checked (recalled: not re-checked).\n"
        "Cut-offs are conventions of the scale, not relapse rules. Any other instrument needs `Direction` in its sidecar.\n\n"
    ) + _rows(head, rows)


def _analytes() -> str:
    rows = (
        (
            f"`{a.name}`",
            a.long_name,
            a.unit,
            ", ".join(f"{u} (x {f:g})" for u, f in a.units.items()),
            f"{a.maximum:g}",
            a.source,
            a.status,
        )
        for a in schema.ANALYTES.values()
    )
    head = ("analyte", "name", "unit kept", "other units", "set aside above", "source", "status")
    return "## Known analytes\n\nAny other analyte is kept in the unit it has.\n\n" + _rows(head, rows)


def _sleep() -> str:
    rows = ((f"`{m.name}`", m.long_name, m.unit, _range(m.minimum, m.maximum)) for m in schema.SLEEP_MEASURES.values())
    return "## Known sleep measures\n\n" + _rows(("measure", "name", "unit", "range"), rows)


def _names() -> str:
    kinds = ("diagnosis", "placement", "event", "sex")
    rows = (
        (kind, f"`{name}`", ", ".join(s for s, n in schema.spellings(kind).items() if n == name))
        for kind in kinds
        for name in dict.fromkeys(schema.spellings(kind).values())
    )
    return "## Other spellings that are understood\n\n" + _rows(("of", "name", "spellings"), rows)


def _units() -> str:
    rows = ((unit, ", ".join(factors)) for unit, factors in schema.section("units").items())
    return "## Units that a sidecar may give\n\n" + _rows(("our unit", "understood"), rows)


_REDCAP = """```console
$ remanent redcap docs/examples/redcap/export.csv docs/examples/redcap/mapping.yaml STUDY
$ remanent run STUDY OUT
```

The first command writes the study from a worked example ([export](examples/redcap/export.csv), [mapping](examples/redcap/mapping.yaml))
and says in one screen what can be used. Rows that cannot be used are written too, so that every later run sets them aside and says so; they
are listed by line of the export in `STUDY/sourcedata/redcap/problems.tsv`. Scans go to `STUDY/derivatives/`. A newer export is written
over the older one by the same command: it replaces the tables it wrote before, nothing else. Then `remanent update OUT STUDY`.
"""


def _redcap() -> str:
    before, _, after = (redcap.__doc__ or "").replace("``", "`").partition("::\n\n")
    block, _, after = after.partition("\n\nIn a block")
    return f"## From a REDCap export\n\n{_REDCAP}\n{before}:\n\n```yaml\n{dedent(block)}\n```\n\nIn a block{after}"


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) + " |\n" for line in lines
    )


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "docs" / "formats.md"
    path.write_text(text(), encoding="utf-8")
    print(f"wrote {path}")
