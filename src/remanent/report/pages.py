"""A page per patient and an index, each one self-contained HTML file: no network, no script, text from studies escaped everywhere."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from remanent.plan.plans import STANDARD
from remanent.report import check_figures as checks
from remanent.report import data_tables as tables
from remanent.report import summaries, words
from remanent.report.cohort_figures import plot_follow_up, plot_holds
from remanent.report.data_tables import DataTable
from remanent.report.figures import (
    MOST_INDICATORS,
    PLANS_IN_A_ROW,
    plot_forecasts,
    plot_indicators,
    plot_mechanisms,
    plot_remanence,
)
from remanent.report.lanes import MOST_DRUGS, MOST_EVENTS
from remanent.report.sheet import Sheet
from remanent.report.svg import svg
from remanent.report.timeline import MOST_LABS, MOST_SLEEP, MOST_SYMPTOMS, plot_timeline
from remanent.report.views import (
    Advice,
    Basis,
    CohortRow,
    CohortView,
    FitStatus,
    Mechanisms,
    PatientView,
    Provenance,
    Timeline,
)

TEMPLATES = Path(__file__).parent / "templates"
PLANS_BESIDE = 4  # in a table as wide as a page
_EVERYWHERE = frozenset(plan.name for plan in STANDARD)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure in a page: SVG, what it shows, its content in words, its numbers. `name` is an anchor, unique in the page."""

    name: str
    svg: Markup
    caption: str
    summary: str
    tables: tuple[DataTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A result with its figure, or the reason why it cannot be given."""

    unsaid: str
    rests_on: str = ""
    picture: Picture | None = None
    tables: tuple[DataTable, ...] = ()


def page_name(participant_id: str) -> str:
    """Return the file name of a patient's page, safe in an address."""
    return f"{quote(participant_id, safe='')}.html"


def render_patient(view: PatientView) -> str:
    """Return the page of one patient.

    What data do not inform is said in words and shown in no number: neither a prior nor a fit that did not converge passes for a finding.
    """
    return render("patient.html", **patient_parts(view))


def patient_parts(view: PatientView) -> dict[str, Any]:
    """Return what ``patient.html`` shows, by name; the app puts the same into its own frame."""
    return {
        "view": view,
        "advice": _advice(view),
        "headline": _headline(view),
        "timeline": _timeline(view),
        "forecasts": _forecasts(view),
        "plans_in_a_row": PLANS_IN_A_ROW,
        "remanence": _remanence(view),
        "mechanisms": _mechanisms(view),
        "indicators": _indicators(view),
        "states_unsaid": words.cannot_say(words.under_fit(view.states.basis, view.fit)),
        "problems": tables.problem_table(view.problems),
        "problem_sentence": tables.problem_sentence(view.problems),
        "provenance": provenance_pairs(view.provenance),
        "fit_sentence": _fit_sentence(view.fit),
    }


def render_index(view: CohortView) -> str:
    """Return the page of the cohort: who stands where, how complete the data are, what the fit says, what was set aside."""
    return render("index.html", **index_parts(view))


def index_parts(view: CohortView) -> dict[str, Any]:
    """Return what ``index.html`` shows, by name; the app puts the same into its own frame."""
    plans = list(dict.fromkeys(plan for row in view.rows for plan in row.relapse))
    return {
        "view": view,
        "groups": _groups(view),
        "plans": [plan for plan in plans if plan in _EVERYWHERE],
        "own_plans": _own_plans(view, [plan for plan in plans if plan not in _EVERYWHERE]),
        "summary": summaries.cohort_summary(view),
        "follow_up": _follow_up(view),
        "holds": _holds(view),
        "calibration": _calibration(view),
        "caution": checks.calibration_caution(view.calibration, view.horizon_days),
        "verdict": checks.calibration_verdict(view.calibration, view.horizon_days),
        "sites": _sites(view),
        "mechanisms": _mechanism_section(view.mechanisms, view.fit, "cohort"),
        "completeness": tables.completeness_table(view.patients),
        "problems": tables.problem_table(view.problems),
        "problem_sentence": tables.problem_sentence(view.problems),
        "provenance": provenance_pairs(view.provenance),
        "fit_sentence": _fit_sentence(view.fit),
    }


# ---------------------------------------------------------------------------------------------------- the patient's sections


def _advice(view: PatientView) -> Advice:
    """Return the advice, withheld where it would rest on a fit that did not converge."""
    code = words.advice_under_fit(view.advice.code, view.fit)
    if code == view.advice.code:
        return view.advice
    return Advice(code, ("the fit did not converge, and no advice is given on it",), view.advice.missing)


def _headline(view: PatientView) -> list[tuple[str, str]]:
    """Return (plan, probability of relapse within the headline horizon) where data inform it."""
    if not words.under_fit(view.forecasts.basis, view.fit).informed:
        return []
    return [(plan.label, tables.risk(plan, view.headline_horizon_days)) for plan in view.forecasts.plans]


def _timeline(view: PatientView) -> Picture:
    states = view.states if words.under_fit(view.states.basis, view.fit).informed else None
    summary = summaries.timeline_summary(view.timeline, states)
    data = tables.timeline_tables(view.timeline)
    if states is not None and states.days.size:
        data.append(tables.state_table(states))
    caption = _timeline_caption(view.timeline, drawn=states is not None)
    return _picture(
        plot_timeline(view.timeline, states), "timeline", f"Course of {view.participant_id}", caption, summary, data
    )


def _timeline_caption(timeline: Timeline, *, drawn: bool) -> str:
    parts = ["Everything on record for this patient on one time axis."]
    if timeline.scans:
        parts.append("Scans: diamond usable, cross not usable.")
    if timeline.doses:
        parts.append("Doses in mg/day; exposure is the effect of all drugs of a class, 1 = usual full dose.")
    if drawn:
        parts.append("Function and structure: posterior mean with 90 % band.")
    if timeline.relapse_rule:
        parts.append(f"Relapse, in this study: {words.sentence(timeline.relapse_rule)}")
    drugs = len({dose.drug for dose in timeline.doses})
    counted = (
        (len(timeline.symptoms), MOST_SYMPTOMS),
        (len(timeline.labs), MOST_LABS),
        (len(timeline.sleep), MOST_SLEEP),
        (drugs, MOST_DRUGS),
        (len(timeline.events), MOST_EVENTS),
    )
    if any(n > most for n, most in counted):
        parts.append("Not everything fits into the figure; the tables below it have the rest.")
    return " ".join(parts)


def _forecasts(view: PatientView) -> Section:
    basis = words.under_fit(view.forecasts.basis, view.fit)
    if not basis.informed or not view.forecasts.plans:
        return _unsaid(basis)
    data = tables.forecast_table(view.forecasts)
    today = words.day_label(view.timeline.today)
    caption = f"Probability of relapse, counted from today, {today}, under each plan: mean and 90 % band."
    if len(view.forecasts.plans) > 1:
        caption += " Grey: the other plans."
    summary = summaries.forecast_summary(view.forecasts, view.headline_horizon_days)
    picture = _picture(plot_forecasts(view.forecasts), "forecasts", "Relapse forecast by plan", caption, summary)
    return Section("", words.sentence(basis.reason), picture, (data,))


def _remanence(view: PatientView) -> Section:
    basis = words.under_fit(view.remanence.basis, view.fit)
    if not basis.informed or not view.remanence.horizon_days:
        return _unsaid(basis)
    caption = "What remains after all drugs are withdrawn today (mean, 90 % interval). Left: of the function. Right: the probability of no relapse."
    summary = summaries.remanence_summary(view.remanence)
    picture = _picture(plot_remanence(view.remanence), "remanence", "Remanence and hold", caption, summary)
    return Section("", words.sentence(basis.reason), picture, (tables.remanence_table(view.remanence),))


def _mechanisms(view: PatientView) -> Section:
    return _mechanism_section(view.mechanisms, view.fit, "patient")


def _mechanism_section(mechanisms: Mechanisms, fit: FitStatus, whose: str) -> Section:
    answered = any(q.probability is not None for q in mechanisms.questions)
    scores = (tables.score_table(mechanisms.scores),) if mechanisms.scores else ()
    basis = words.under_fit(words.mechanism_basis(mechanisms), fit)
    if fit.converged is not False and answered and not basis.informed:
        return Section(
            "", words.sentence(mechanisms.reason), None, (tables.question_table(mechanisms.questions), *scores)
        )
    if not basis.informed:
        return _unsaid(basis)
    caption = f"Probability of each way the medication could act, for this {whose}, beside what was assumed before seeing any data (prior)."
    summary, data = summaries.mechanism_summary(mechanisms), [tables.mechanism_table(mechanisms)]
    picture = _picture(plot_mechanisms(mechanisms), "mechanisms", "Mechanisms and their prior", caption, summary, data)
    shown = (tables.question_table(mechanisms.questions),) if mechanisms.questions else ()
    return Section("", words.sentence(basis.reason), picture, (*shown, *scores))


def _indicators(view: PatientView) -> Section:
    if not view.indicators:
        return Section("No feature of this patient's scans was measured.")
    caption = (
        "What the scans showed (dots, with 90 % sampling intervals) against what the fitted model expects (dashed, with its 90 % band). "
        "Crosses: values the model did not use."
    )
    if len(view.indicators) > MOST_INDICATORS:
        caption += f" The first {MOST_INDICATORS} of {len(view.indicators)} features; the table has all."
    summary, data = summaries.indicator_summary(view.indicators), [tables.indicator_table(view.indicators)]
    figure = plot_indicators(view.indicators, view.timeline)
    return Section("", "", _picture(figure, "features", "Features, observed and fitted", caption, summary, data))


# ---------------------------------------------------------------------------------------------------- the cohort's sections


def _groups(view: CohortView) -> list[tuple[str, str, list[CohortRow]]]:
    """Return (advice code, words, patients), most urgent first."""
    shown = [(words.advice_under_fit(row.advice, view.fit), row) for row in view.rows]
    groups = [(code, label, [row for given, row in shown if given == code]) for code, label in words.ADVICE.items()]
    return [group for group in groups if group[2] or group[0] != "healthy"]


def _own_plans(view: CohortView, plans: Sequence[str]) -> list[DataTable]:
    """Relapse under the plans beyond those of every run, a few to a table, so that it fits a page."""
    if not words.under_fit(Basis("data"), view.fit).informed:
        return []
    beside = math.ceil(len(plans) / max(1, math.ceil(len(plans) / PLANS_BESIDE)))
    return [tables.plan_table(view, plans[k : k + beside]) for k in range(0, len(plans), max(1, beside))]


def _follow_up(view: CohortView) -> Section:
    if not view.patients:
        return Section("No patient on record.")
    caption = "Follow-up of every patient: the line runs from the first record to the last."
    summary, data = summaries.follow_up_summary(view), [tables.count_table(view.patients)]
    return Section(
        "", "", _picture(plot_follow_up(view), "follow-up", "Follow-up of every patient", caption, summary, data)
    )


def _holds(view: CohortView) -> Section:
    basis = words.under_fit(Basis("data"), view.fit)
    if not basis.informed:
        return _unsaid(basis)
    if all(row.hold is None for row in view.rows):
        return _unsaid(Basis("prior", "no patient's data move the estimate of who would hold without drugs"))
    span = words.span_label(view.horizon_days)
    caption = (
        f"Hold: probability of no relapse within {span} if all drugs were withdrawn at the last record (mean, 90 % interval). "
        "Patients whose data do not inform it are left out."
    )
    return Section(
        "", "", _picture(plot_holds(view), "holds", "Hold by patient", caption, summaries.hold_summary(view))
    )


def _calibration(view: CohortView) -> Section:
    found, basis = view.calibration, words.under_fit(Basis("data"), view.fit)
    if not basis.informed or not found.curves:
        return Section(words.cannot_say(basis) or words.sentence(found.unsaid))
    caption = (
        "Forecasts of relapse by models that had not seen the patient, in groups of equal size, against the share that relapsed "
        "(weighed for censoring). On the dashed line, forecasts mean what they say."
    )
    data = [checks.calibration_table(curve) for curve in found.curves]
    figure, summary = checks.plot_calibration(found), f"{checks.calibration_summary(found)} {found.note}".strip()
    return Section("", "", _picture(figure, "calibration", "Calibration of forecasts", caption, summary, data))


def _sites(view: CohortView) -> Section:
    found = view.sites
    if not found.measures:
        return Section(words.sentence(found.unsaid))
    whose = "healthy participants" if found.learnt_from == "controls" else "everyone, illness and treatment allowed for"
    caption = (
        f"Scans by site before and after the site's effect (ComBat, learnt once from {whose}) was taken away, in the measure's own unit: "
        f"median (dot), quartiles (thick), 5 to 95 % (thin). The {len(found.measures)} measures whose sites differed most, of {found.count}."
    )
    data = [checks.sites_table(found)]
    figure, summary = checks.plot_sites(found), checks.sites_summary(found)
    return Section("", "", _picture(figure, "sites", "Measures by site", caption, summary, data))


# ---------------------------------------------------------------------------------------------------- shared


def _unsaid(basis: Basis) -> Section:
    shown = basis if not basis.informed else Basis("nothing", "Nothing was computed.")
    return Section(words.cannot_say(shown))


def _picture(
    figure: Sheet, name: str, title: str, caption: str, summary: str, data: Sequence[DataTable] = ()
) -> Picture:
    return Picture(name, svg(figure, name, title, summary), caption, summary, tuple(data))


def provenance_pairs(made: Provenance) -> list[tuple[str, str]]:
    """Return what a page says of how it was made, as (name, value)."""
    seed = "" if made.seed is None else str(made.seed)
    fixed = [("Run at", made.run_at), ("Snapshot of the record", made.snapshot_id), ("Random seed", seed)]
    pairs = [*fixed, *made.versions.items(), *made.sources.items(), *made.settings.items()]
    return [(name, value) for name, value in pairs if value]


def _fit_sentence(fit: FitStatus) -> str:
    state = {
        True: "The cohort fit converged.",
        False: "The cohort fit did NOT converge.",
        None: "There is no cohort fit.",
    }[fit.converged]
    return f"{state} {words.sentence(fit.message)}".strip()


def render(template: str, **context: object) -> str:
    """Return a page from one of our templates; all text in it is escaped."""
    return environment().get_template(template).render(**context)


@cache
def environment(*folders: Path) -> Environment:
    """Return the template engine; templates in `folders` stand before those of the reports, so that a page gets another frame."""
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters.update(
        day=words.day_label,
        span=words.span_label,
        diagnosis=words.diagnosis_label,
        commands=_commands,
        percent_interval=words.percent_interval,
        sentence=words.sentence,
        page_name=page_name,
    )
    made.globals["css"] = Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    made.globals["advice_words"] = words.ADVICE
    made.tests["known"] = lambda x: isinstance(x, (int, float)) and math.isfinite(x)
    return made


def _commands(text: str) -> Markup:
    """Text, escaped, in which a command between quotes stays on one line."""
    parts = re.split(r"'(remanent [^']+)'", words.clean(text))
    return Markup("").join(Markup("<code>{}</code>").format(part) if k % 2 else part for k, part in enumerate(parts))


def _shown(value: object) -> object:
    return words.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
