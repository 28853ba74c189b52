"""The TRIPOD+AI checklist of a run: each item with what this run did, or that it was not done, or that only the authors can say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Literal

import numpy as np
import yaml

from remanent import __version__
from remanent.relapse.landmark import Landmarks
from remanent.relapse.score import gap
from remanent.stages.rival_tables import Columns
from remanent.stages.rivals import RESAMPLES, Rivalry
from remanent.study.record.files import write_whole

Answer = Literal["done", "not_done", "authors"]
FILE = "tripod.md"
_WORDS: Mapping[Answer, str] = {"done": "filled by the run", "not_done": "not done", "authors": "by the authors"}


@dataclass(frozen=True)
class Item:
    """One item: what is asked, and what there is to say."""

    id: str
    topic: str
    asks: str
    answer: Answer
    says: str


@dataclass(frozen=True)
class Setting:
    """What a run knows beside the comparison."""

    study: str
    snapshot: str
    relapse_rule: str
    set_aside: int


@cache
def _document() -> Mapping[str, Any]:
    return yaml.safe_load((files("remanent.stages") / "tripod.yaml").read_text("utf-8"))


def checklist(found: Rivalry, tables: Mapping[str, Columns], setting: Setting) -> tuple[Item, ...]:
    """Every item, filled from the run."""
    known = facts(found, tables, setting)
    return tuple(_item(entry, known) for entry in _document()["items"])


def write_checklist(out: Path, found: Rivalry, tables: Mapping[str, Columns], setting: Setting) -> Path:
    """Write FILE."""
    write_whole(out / FILE, markdown(checklist(found, tables, setting), found).encode())
    return out / FILE


def _item(entry: Mapping[str, str], known: Mapping[str, str]) -> Item:
    head = (entry["id"], entry["topic"], entry["asks"])
    if entry["by"] == "authors":
        return Item(*head, "authors", "Not in the data: the authors must say it.")
    wanted = [name for _, name, _, _ in Formatter().parse(entry["says"]) if name]
    lacking = [name for name in wanted if name not in known]
    if lacking:
        return Item(*head, "not_done", "Not done in this run: forecasts were not compared.")
    words = entry["says"].format(**known).strip()
    return Item(*head, "not_done" if words.startswith("Not done") else "done", words)


def markdown(items: tuple[Item, ...], found: Rivalry) -> str:
    """The checklist as a page."""
    lines = [
        "# TRIPOD+AI checklist of this run",
        "",
        f"Written by Remanent {__version__} from what the run did. Items are paraphrased ({_document()['source']}, {_document()['status']}); the paper's",
        "wording counts. Research use only.",
        "",
        *([found.lacking, ""] if found.lacking else []),
        "| item | topic | asks | who | answer |",
        "|---|---|---|---|---|",
        *(f"| {i.id} | {i.topic} | {_cell(i.asks)} | {_WORDS[i.answer]} | {_cell(i.says)} |" for i in items),
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("<", "&lt;").split())


def facts(found: Rivalry, tables: Mapping[str, Columns], setting: Setting) -> dict[str, str]:
    """What may stand in an item, by name; facts of the comparison only where there was one."""
    always = {
        "study": setting.study or "without a name",
        "snapshot": setting.snapshot,
        "set_aside": str(setting.set_aside),
        "relapse_rule": (setting.relapse_rule or "no definition in events.json").rstrip(".") + ".",
        "version": __version__,
        "seed": str(found.seed),
        "resamples": str(RESAMPLES),
        "lacking": found.lacking,
    }
    return always if found.rows is None else {**always, **_compared(found, found.rows, tables)}


def _compared(found: Rivalry, rows: Landmarks, tables: Mapping[str, Columns]) -> dict[str, str]:
    ran = [c for c in found.competitors if c.ran]
    sites = sorted(set(rows.site.tolist()))
    by_site = found.outer[0].words.startswith("site")
    end = rows.day + rows.time_days
    people = np.unique(rows.patient)
    relapsed = np.unique(rows.patient[rows.event])
    return {
        "models": str(len({c.model for c in ran})),
        "horizons": " and ".join(f"{s.horizon_days:.0f}" for s in found.scored),
        "landmarks": ", ".join(f"{d:.0f}" for d in np.unique(rows.day)),
        "first_end": f"{end.min():.0f}",
        "last_end": f"{end.max():.0f}",
        "sites": f"{len(sites)} sites ({', '.join(sites)})" if all(sites) else "Not every site",
        "features": str(len(rows.names)),
        "circuits": str(int(rows.circuit.sum())),
        "patients": str(len(people)),
        "relapses": str(len(relapsed)),
        "missing": f"{100 * np.isnan(rows.x).mean():.0f} %",
        "folds": str(len(found.outer)),
        "grouping": "site" if by_site else "patient",
        "how": " ".join(f"{c.model} ({c.imaging} scans): {c.note}." for c in found.competitors),
        "clusters": "Every site was held out in turn; scores by site were not tabulated."
        if by_site
        else "Not done: fewer than three sites, so none was held out.",
        "flow": _flow(found, rows),
        "followed": f"{np.median(rows.time_days):.0f}",
        "characteristics": _characteristics(rows),
        "scored": _scored(found),
        "best": _best(tables["scores"]),
    }


def _flow(found: Rivalry, rows: Landmarks) -> str:
    people = len(np.unique(rows.patient))
    at = "; ".join(
        f"day {d:.0f}: {int((rows.day == d).sum())} at risk, {int(rows.event[rows.day == d].sum())} relapsed later"
        for d in np.unique(rows.day)
    )
    return f"{len(found.patients)} patients on record whose doses are known, {people} at risk at one landmark or more ({at})."


def _characteristics(rows: Landmarks) -> str:
    first = np.unique(rows.patient, return_index=True)[1]
    parts = []
    for name, words in (
        ("age", "age"),
        ("sex", "share of women"),
        ("severity_last", "severity as a share of the scale"),
    ):
        if name in rows.names and np.isfinite(rows.column(name)[first]).any():
            parts.append(f"{words} {np.nanmean(rows.column(name)[first]):.2f}")
    return (
        f"Means at the first landmark: {', '.join(parts)}."
        if parts
        else "Not done: neither age, sex nor severity is on record."
    )


def _scored(found: Rivalry) -> str:
    parts = []
    for at in found.scored:
        relapsed = at.known.event & (at.known.time_days <= at.horizon_days)
        status = gap(at.known, at.horizon_days)
        parts.append(
            f"{at.horizon_days:.0f} days: {len(np.unique(at.known.patient))} patients, {len(at.known)} forecasts, {int(relapsed.sum())} "
            f"of them followed by relapse ({status})"
        )
    return "; ".join(parts) + "."


def _best(scores: Columns) -> str:
    """Brier scores at the last horizon, in words."""
    last = max(scores["horizon_days"], default=0.0)
    rows = zip(
        *(scores[n] for n in ("model", "imaging", "horizon_days", "metric", "value", "lower", "upper")), strict=True
    )
    told = [
        f"{model} {imaging} scans {value:.3f} ({low:.3f} to {high:.3f})"
        for model, imaging, horizon, metric, value, low, high in rows
        if metric == "brier" and horizon == last and np.isfinite(value)
    ]
    return f"Brier score at {last:.0f} days: {', '.join(told)}." if told else "No score could be estimated."
