"""The methods page: what this run did, in text that can go into a paper, with every number that is not the study's own and where it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml
from markupsafe import escape

from remanent.report.data_tables import DataTable
from remanent.report.pages import provenance_pairs, render
from remanent.report.views import Provenance


@dataclass(frozen=True, slots=True)
class Sourced:
    """A number or choice that is not the study's own.

    `law` is the value or the prior in words; `status` is published (it stands in the source), derived (computed from it) or assumed (a choice of ours).
    """

    name: str
    law: str
    unit: str
    status: str
    source: str


@dataclass(frozen=True, slots=True)
class MethodsView:
    """What the methods page shows, as plain text and numbers.

    Attributes
    ----------
    paragraphs
        Title and text of what was done with this study, in the order of the work.
    equations
        The model's equations, as text in columns.
    priors, thresholds
        Numbers the model starts from, and numbers its judgements use.
    measures
        Per measure that entered the model: name, what it may load on, status, source.
    references
        Papers whose numbers or methods this run used, with how far each was read.
    """

    study: str = ""
    paragraphs: tuple[tuple[str, str], ...] = ()
    equations: str = ""
    priors: tuple[Sourced, ...] = ()
    thresholds: tuple[Sourced, ...] = ()
    measures: tuple[Sourced, ...] = ()
    references: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def render_methods(view: MethodsView) -> str:
    """Return the page."""
    return render(
        "methods.html",
        view=view,
        equations=escape(view.equations),  # as it is: line breaks and columns mean something here
        priors=_table("Prior of each population parameter", ("Parameter", "Prior", "Unit"), view.priors),
        thresholds=_table("Thresholds", ("Threshold", "Value", "Unit"), view.thresholds),
        measures=_table("Measures in the model", ("Measure", "May load on", "Unit"), view.measures),
        counted=_counted((*view.priors, *view.thresholds, *view.measures)),
        provenance=provenance_pairs(view.provenance),
    )


@cache
def references() -> tuple[str, ...]:
    """Papers whose methods every run uses, from references.yaml."""
    entries = yaml.safe_load((files("remanent.report") / "references.yaml").read_text("utf-8"))
    told = ((e, f" doi:{e['doi']}" if e["doi"] else "") for e in entries)
    return tuple(f"{e['citation']}.{doi} ({e['used']}; {e['read']})" for e, doi in told)


def _table(caption: str, heads: tuple[str, str, str], rows: Iterable[Sourced]) -> DataTable:
    cells = tuple((r.name, r.law, r.unit, r.status, r.source) for r in rows)
    return DataTable(caption, (*heads, "Status", "Reason or source"), cells)


def _counted(rows: tuple[Sourced, ...]) -> str:
    """How many of the numbers have which status."""
    kinds = [r.status for r in rows]
    told = [f"{kinds.count(kind)} {kind}" for kind in ("published", "derived", "assumed") if kind in kinds]
    return f"Of {len(kinds)} numbers and choices below: {', '.join(told)}."
