"""One patient at a time under the fitted population: what `remanent update` does for everyone, for whoever was changed or is being looked at."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from remanent.dynamics import compare as comparing
from remanent.dynamics.compare import Comparison
from remanent.dynamics.grid import Medication, TimeLine, build_timeline, medication_of
from remanent.dynamics.infer import Posterior, on_data
from remanent.plan.decide import Thresholds
from remanent.relapse.predict import Ensemble
from remanent.report.views import CohortRow, PatientView
from remanent.stages import population
from remanent.stages.analyse import Alone, Population, Results, analyse
from remanent.stages.cohort import cohort_of
from remanent.stages.comparable import Comparable, compare
from remanent.stages.compared import kept as kept_comparison
from remanent.stages.draws import Drawn, kept_draws
from remanent.stages.planning import Planning
from remanent.stages.relapses import by_rule, rule_of
from remanent.stages.standing import standing
from remanent.stages.timelines import Context
from remanent.stages.views import patient_view, provenance, row_of
from remanent.study.panel import Panel
from remanent.study.store import Record
from remanent.study.table import Table


def _say_nothing(event: str, **detail: Any) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class Base:
    """Everything about a study that one patient's results need: what is on record, what was fitted, what the cohort says of mechanisms.

    Attributes
    ----------
    lanes
        Where each patient stands in the cohort's grid.
    drawn
        The last run's draws of today.
    steps
        Steps of the cohort's grid: padded to as many, one compiled program serves everybody.
    """

    panel: Panel
    context: Context
    population: Population
    comparison: Comparison
    lanes: Mapping[str, int]
    drawn: Drawn
    steps: int
    seed: int
    thresholds: Mapping[str, Thresholds | None] | None
    rule: str | None
    relapse_day: Mapping[str, float]


@dataclass(frozen=True)
class OnePatient:
    """Results of one patient (lane 0), and the draws they come from.

    Attributes
    ----------
    after, before
        Draws of today given the data, and from the prior.
    """

    participant_id: str
    results: Results
    after: Ensemble
    before: Ensemble
    given: Medication


def load_base(
    record: Record,
    out: Path,
    thresholds: Mapping[str, Thresholds | None] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Base:
    """Read the record, the fitted population and the cohort's comparison of mechanisms, which is made again where the run kept none; nothing is fitted.

    Raises
    ------
    InputError
        Nothing was fitted in this folder, or by another version.
    """
    log("reading the record")
    fitted = population.load(out)
    tables = record.tables()
    comparable = compare(record, tables, out, learn_anew=False)
    rule = rule_of(out)
    panel, relapse_day = _panel(tables, comparable, rule)
    seed = _seed(out)
    timeline = build_timeline(panel, fitted[0])
    people, compared = kept_comparison(out) or _compared_anew(panel, timeline, fitted[1], seed, log)
    lanes = {who: lane for lane, who in enumerate(people) if who in panel.patients}
    context = _context(record, out, tables, comparable, seed)
    known = kept_draws(record, fitted[1])
    steps = len(timeline.grid.dt)
    return Base(panel, context, fitted, compared, lanes, known, steps, seed, thresholds, rule, relapse_day)


def _compared_anew(
    panel: Panel, timeline: TimeLine, fitted: Posterior, seed: int, log: Callable[[str], None]
) -> tuple[tuple[str, ...], Comparison]:
    """Patients by lane, and the comparison of mechanisms as a run makes it."""
    log("comparing mechanisms over the cohort")
    people = tuple(panel.patients[i] for i in timeline.lanes)
    return people, comparing.compare(on_data(fitted, timeline.grid), timeline.grid, len(people), seed)


def _panel(tables: Mapping[str, Table], comparable: Comparable, rule: str | None) -> tuple[Panel, Mapping[str, float]]:
    """The patients' panel as a run makes it, and the days of relapses that a rule derives."""
    cohort = cohort_of(tables, comparable.for_model)
    derived = by_rule(cohort.panel, cohort.tables, rule)
    return (derived.panel, derived.relapse_day) if derived else (cohort.panel, {})


def read_again(base: Base, record: Record) -> Base:
    """The same with the record's rows as they are now; what was measured in scans and learnt from the cohort stays."""
    tables = record.tables()
    comparable = base.context.comparable
    context = replace(base.context, tables=tables, problems=record.problems())
    panel, relapse_day = _panel(tables, comparable, base.rule)
    return replace(base, panel=panel, relapse_day=relapse_day, context=context)


def one_patient(base: Base, participant_id: str, *, anew: bool = False) -> OnePatient | None:
    """Forecasts and advice of one patient; None where nothing dated is on record, or the cohort had no such patient.

    From the draws that the last run kept, or, where there are none or `anew` says that records changed, from a filter pass over the patient's records.
    """
    drawn, lane = base.drawn, base.lanes.get(participant_id)
    if lane is None or participant_id not in base.panel.patients:
        return None
    i = base.panel.patients.index(participant_id)
    if not np.isfinite(base.panel.last_day[i]):
        return None
    alone = replace(
        base.panel, last_day=np.where(np.arange(len(base.panel.patients)) == i, base.panel.last_day, np.nan)
    )
    results = analyse(
        alone,
        seed=base.seed,
        thresholds=base.thresholds,
        log=_say_nothing,
        population=(*base.population, _of_lane(base.comparison, lane)),
        standing=standing(base.context.tables, base.context.problems, base.relapse_day),
        alone=Alone(
            None if anew else drawn.of(participant_id), drawn.ensembles, drawn.lane(participant_id), base.steps
        ),
    )
    if results is None:
        return None
    whole = replace(results, panel=base.panel)
    return OnePatient(participant_id, whole, results.after, results.before, medication_of(base.panel, i))


def view_of(base: Base, one: OnePatient, former: PatientView) -> tuple[PatientView, CohortRow]:
    """What the patient's page and its row in the list show; what only a run computes is that of the `former` view."""
    view = patient_view(base.panel, one.results, base.context, one.participant_id)
    relapse_rule = former.timeline.relapse_rule
    kept = replace(view, modalities=former.modalities, early_warning=former.early_warning)
    view = replace(kept, timeline=replace(view.timeline, relapse_rule=relapse_rule))
    return view, row_of(view)


def _of_lane(comparison: Comparison, lane: int) -> Comparison:
    """The cohort's comparison with one patient's rows."""
    one, known = slice(lane, lane + 1), comparison.identifiability
    return replace(
        comparison,
        patient=comparison.patient[one],
        patient_identifiable=comparison.patient_identifiable[one],
        identifiability=replace(known, weight_of_evidence=known.weight_of_evidence[one], patient=known.patient[one]),
    )


def _context(record: Record, out: Path, tables: Mapping[str, Table], comparable: Comparable, seed: int) -> Context:
    about = _description(out)
    made = provenance({}, seed, record.snapshot_id, "computed in the app, under the population of the last run")
    return Context(
        study=str(about.get("Name", "")).removeprefix("Remanent: "),
        tables=tables,
        features=comparable.features,
        problems=record.problems(),
        comparable=comparable,
        planning=Planning(),
        provenance=made,
    )


def _seed(out: Path) -> int:
    return int(_description(out).get("Remanent", {}).get("Seed") or 0)


def _description(out: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((out / "dataset_description.json").read_bytes())
    return found
