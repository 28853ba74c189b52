"""Results to disk: the record first, then OUT's tables, then the pages."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from remanent.relapse.predict import EDGES_DAYS
from remanent.report.methods import render_methods
from remanent.report.pages import page_name, render_index, render_patient
from remanent.report.saved import to_json
from remanent.stages import compared as comparison_kept
from remanent.stages.analyse import Results
from remanent.stages.checks import cohort_checks
from remanent.stages.comparable import Comparable
from remanent.stages.draws import keep_draws
from remanent.stages.idp import write_phenotypes
from remanent.stages.losses import problem_columns
from remanent.stages.methods import methods_view
from remanent.stages.options import Options
from remanent.stages.planning import Planning
from remanent.stages.planning import tables as planned
from remanent.stages.population import save
from remanent.stages.relapses import PARAMETER
from remanent.stages.rival_tables import remove as remove_rivals
from remanent.stages.rival_tables import rival_tables
from remanent.stages.rivals import Rivalry
from remanent.stages.tables import tables
from remanent.stages.timelines import Context
from remanent.stages.tripod import FILE as CHECKLIST
from remanent.stages.tripod import Setting, write_checklist
from remanent.stages.views import cohort_view, patient_views, provenance
from remanent.study.outputs import describe, write_outputs
from remanent.study.panel import Panel
from remanent.study.record.files import write_whole
from remanent.study.store import Record

VIEWS = "views"


@dataclass(frozen=True)
class Found:
    """What a run found.

    Attributes
    ----------
    relapse_words
        The rule by which relapses were derived, empty where they are on record.
    healthy
        Healthy participants, whose pages say that nothing is forecast.
    rivalry
        Ways to forecast compared; None where that was not asked for.
    """

    panel: Panel
    results: Results | None
    comparable: Comparable
    planning: Planning
    relapse_words: str = ""
    rivalry: Rivalry | None = None
    healthy: Panel | None = None


def publish(record: Record, found: Found, options: Options, log: Callable[..., None]) -> None:
    """Write everything CONTRACT.md promises under OUT."""
    panel, results, comparable, planning = found.panel, found.results, found.comparable, found.planning
    study_root, out, seed = options.study_root, options.out, options.seed
    columns_of = {**tables(results), **planned(panel, results, planning), "changes": comparable.changes}
    compared = rival_tables(found.rivalry) if found.rivalry else {}
    columns_of |= compared
    remove_rivals(out)
    (out / CHECKLIST).unlink(missing_ok=True)
    for name, columns in columns_of.items():
        record.put_results(name, columns)
    fitted = [] if results is None else _keep_fitted(record, results, out)
    features, problems, made = comparable.features, record.problems(), record.table("processing")
    description = _description(study_root)
    parameters = {"Seed": seed, "Snapshot": record.snapshot_id, "AuditHead": record.head}
    parameters |= {PARAMETER: options.relapse_rule} if found.relapse_words else {}
    parameters |= {"Form": options.form, "Inference": options.inference, "HazardBreaks": list(options.hazard_breaks)}
    parameters |= {"Plans": [plan.name for plan in options.plans]}
    everything: dict[str, Mapping[str, Any]] = {
        **columns_of,
        "features": {name: features[name] for name in features.columns},
        "processing": {name: made[name] for name in made.columns},
        "problems": problem_columns(problems),
    }
    written = write_outputs(out, everything, description=describe(out, study_root, description, parameters))
    context = Context(
        study=str(description.get("Name", "")),
        tables=record.tables(),
        features=features,
        problems=problems,
        comparable=comparable,
        relapse_rule=found.relapse_words or _relapse_rule(study_root),
        planning=planning,
        healthy=found.healthy,
        checks=cohort_checks(found.rivalry, comparable, record.tables()),
        provenance=provenance({}, seed, record.snapshot_id, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    )
    written += [*fitted, *comparable.files, *write_phenotypes(features, out)]
    if found.rivalry:
        lost = sum(p.action != "used" for p in problems)
        setting = Setting(context.study, record.snapshot_id, context.relapse_rule, lost)
        written.append(write_checklist(out, found.rivalry, compared, setting))
    written += write_pages(panel, results, context, out)
    methods = out / "methods.html"
    write_whole(methods, render_methods(methods_view(panel, results, context, made, options.thresholds)).encode())
    written.append(methods)
    record.put_files(written)
    record.audit("publish", "study", {"files": len(written), "seed": seed})
    log("publish", files=len(written))


def write_pages(panel: Panel, results: Results | None, context: Context, out: Path) -> list[Path]:
    """index.html, a page per participant, and what each shows as values under views/; those of participants who are gone are removed."""
    views = patient_views(panel, results, context)
    cohort = cohort_view(results, context, views)
    files = {page_name(v.participant_id): render_patient(v).encode() for v in views}
    files["index.html"] = render_index(cohort).encode()
    files |= {view_name(v.participant_id): to_json(v) for v in views} | {view_name("cohort"): to_json(cohort)}
    for old in (*out.glob("sub-*.html"), *(out / VIEWS).glob("sub-*.json")):
        if old.relative_to(out).as_posix() not in files:
            old.unlink()
    for name, content in files.items():
        write_whole(out / name, content)
    return [out / name for name in files]


def view_name(participant_id: str) -> str:
    """Where in OUT the values of a participant's page lie; ``cohort``: those of the index page."""
    return f"{VIEWS}/{quote(participant_id, safe='')}.json"


def _keep_fitted(record: Record, results: Results, out: Path) -> list[Path]:
    """What the app and `remanent update` need of the fit: draws, the population, the comparison of mechanisms."""
    people = [results.panel.patients[i] for i in results.timeline.lanes]
    _keep_draws(record, results, people)
    return [save(out, results.design, results.posterior), comparison_kept.keep(out, people, results.comparison)]


def _keep_draws(record: Record, results: Results, people: Sequence[str]) -> None:
    """Posterior modes and covariances, the forecast curves, and draws of everybody's state today, as Parquet under draws/."""
    fits = results.posterior.fits
    record.put_draws(
        "population", {f"{f.mechanism}_mode": f.mode for f in fits} | {f"{f.mechanism}_cov": f.cov for f in fits}
    )
    curves = {
        f"{plan}_{part}": np.asarray(getattr(estimate, part))
        for plan, estimate in results.outcome.relapse.items()
        for part in ("mean", "lower", "upper")
    }
    record.put_draws("forecast_curves", {"horizon_days": EDGES_DAYS[1:], **curves})
    keep_draws(record, people, results.after, results.before)


def _description(study_root: Path) -> Mapping[str, Any]:
    return _json(study_root / "dataset_description.json")


def _relapse_rule(study_root: Path) -> str:
    """What the study's events.json says relapse is: the level `relapse` of column `event`."""
    column = _json(study_root / "phenotype" / "events.json").get("event", {})
    level = column.get("Levels", {}).get("relapse", "") if isinstance(column, dict) else ""
    words = level.get("Description", "") if isinstance(level, dict) else level
    return words if isinstance(words, str) else ""


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
