"""Results to what the pages show: one PatientView per participant, one CohortView. Everything in words where only the prior would speak."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from remanent import __version__
from remanent.circuits.catalogue import describe
from remanent.dynamics.compare import PRIOR, deciding_priors, posterior_sd
from remanent.dynamics.grid import medication_of
from remanent.dynamics.leave_out import difference
from remanent.dynamics.priors import MECHANISMS, SWITCHES
from remanent.plan.plans import continued
from remanent.plan.simulate import PLAN_WORDS
from remanent.relapse.definition import HEADLINE_DAYS, HORIZONS_DAYS
from remanent.relapse.predict import EDGES_DAYS, Estimate
from remanent.report import views as show
from remanent.report.check_figures import calibration_caution
from remanent.report.words import feature_label
from remanent.stages.analyse import Results
from remanent.stages.contribution import HORIZON_DAYS
from remanent.stages.courses import stability_words
from remanent.stages.error_rates import words as error_words
from remanent.stages.next_measurement import words as measure_words
from remanent.stages.planning import warning_words
from remanent.stages.tables import report_rows, states_informed
from remanent.stages.timelines import COMPARED_WITH, Context, healthy_pages, page_of
from remanent.study.panel import Panel

_PRIOR = "The data of this study did not narrow this against what was assumed before."
_GONE = "A relapse or a death is on record: this patient is no longer at risk of a first relapse."
_UNKNOWN_DOSES = "What this patient was given is not fully known, so nothing is forecast."
_UNSAID = {_GONE: "no longer at risk", COMPARED_WITH: "not forecast"}
_LOADS = {"f": "function", "s": "structure", "e": "ECT trace"}


def provenance(sources: Mapping[str, str], seed: int, snapshot_id: str, run_at: str) -> show.Provenance:
    """Versions of everything that computes, and what it computed from."""
    versions = {"remanent": __version__} | {name: version(name) for name in ("jax", "numpy", "scipy")}
    return show.Provenance(versions=versions, sources=sources, seed=seed, snapshot_id=snapshot_id, run_at=run_at)


def patient_views(panel: Panel, results: Results | None, context: Context) -> list[show.PatientView]:
    """One view per participant, the healthy last; those without any dated record get a page that says so."""
    lane_of = {} if results is None else {int(i): lane for lane, i in enumerate(results.timeline.lanes)}
    patients = [_patient(panel, results, context, i, lane_of.get(i)) for i in range(len(panel.patients))]
    return patients + ([] if context.healthy is None else healthy_pages(context.healthy, context, fit_status(results)))


def patient_view(panel: Panel, results: Results, context: Context, participant_id: str) -> show.PatientView:
    """The view of one participant; `results` may hold that patient alone."""
    i = panel.patients.index(participant_id)
    lane = next((k for k, j in enumerate(results.timeline.lanes) if int(j) == i), None)
    return _patient(panel, results, context, i, lane)


def _patient(panel: Panel, results: Results | None, context: Context, i: int, lane: int | None) -> show.PatientView:
    who = panel.patients[i]
    warned = warning_words(context.planning.warnings.get(who))
    page = replace(page_of(panel, context, i, fit_status(results)), early_warning=warned)
    if results is None or lane is None:
        why = "this participant has no dated record that the model can use"
        return replace(page, advice=show.Advice("not_enough_data", (why,)))
    advice = results.advice[lane]
    return replace(
        page,
        headline_horizon_days=HEADLINE_DAYS,
        advice=show.Advice(
            advice.code,
            advice.reasons,
            advice.missing,
            measure_next=measure_words(context.planning.following.get(who, ())),
            classes=tuple(c.words for c in context.planning.classes),
            error_rates=error_words(context.planning.errors, who, advice.code),
        ),
        states=_states(results, lane),
        indicators=_indicators(results, lane),
        remanence=_remanence(results, lane),
        forecasts=_forecasts(results, lane, {**PLAN_WORDS, **context.planning.plan_words}),
        stability=()
        if context.planning.stability is None
        else stability_words(results, context.planning.stability, lane, HEADLINE_DAYS),
        mechanisms=_mechanisms(results, lane),
        modalities=_modalities(results, lane),
        caution=calibration_caution(context.checks.calibration, HEADLINE_DAYS),
    )


def _modalities(results: Results, lane: int) -> tuple[show.ModalityGain, ...]:
    """What each kind of data did to this patient's forecast; nothing where the forecast itself cannot be shown."""
    if results.gone[lane] or not results.outcome.informed["continue"][lane]:
        return ()
    return tuple(
        show.ModalityGain(
            c.modality,
            float(c.shift_bits[lane]),
            f"relapse within {HORIZON_DAYS:.0f} days: {100 * c.with_all[lane]:.0f} % with, {100 * c.without[lane]:.0f} % without",
        )
        for c in results.added
        if np.isfinite(c.shift_bits[lane])
    )


def fit_status(results: Results | None) -> show.FitStatus:
    """Whether all four fits converged, and what did not."""
    if results is None:
        return show.FitStatus(None, "No model was fitted: no participant has a dated rating or usable scan.")
    bad = [f"{f.mechanism}: {f.message}" for f in results.posterior.fits if not f.converged]
    sampled = [f.mechanism for f in results.posterior.fits if f.sampling is not None]
    by = f"; sampled by NUTS: {', '.join(sampled)}" if sampled else ""
    words = "; ".join(bad) or f"All four mechanisms converged (mode found, curvature checked{by})."
    if results.reference:
        return show.FitStatus(
            None, f"Nothing was fitted, the study being too small: {results.reference} stands in.{_form_words(results)}"
        )
    left = int((~results.fitted).sum())
    apart = f" It leaves out {left} of {len(results.fitted)} patients, whose doses are not fully known." if left else ""
    return show.FitStatus(results.posterior.converged, f"{words}{apart}{_form_words(results)}")


def _form_words(results: Results) -> str:
    """Which form of the model the numbers rest on, where it is not the linear one as a matter of course."""
    form = results.design.form
    if results.forms:
        return f" Form: {form}, with {100 * results.forms[form]:.0f} % of the evidence of both forms."
    asked = f" Form: {form}, as asked for; whether it explains the data better than the linear form was not looked at (--form both does)."
    return "" if form == "linear" else asked


def _states(results: Results, lane: int) -> show.States:
    rows, x = report_rows(results, lane), results.states.smoothed
    seen = int((results.timeline.grid.observed[..., lane] > 0).sum())
    population = results.reference or "the cohort's fit"
    words = (
        f"{seen} observations of this patient and on {population}. "
        "Function and structure are latent and not validated against any outcome."
    )
    return show.States(
        days=results.timeline.grid.day[rows, lane],
        function_mean=x.f_mean[rows, lane],
        function_sd=x.f_sd[rows, lane],
        structure_mean=x.s_mean[rows, lane],
        structure_sd=x.s_sd[rows, lane],
        withdrawal_mean=x.withdrawal[rows, lane],
        basis=show.Basis("data", words) if states_informed(results)[lane] else show.Basis("prior", _PRIOR),
    )


def _indicators(results: Results, lane: int) -> tuple[show.Indicator, ...]:
    """Observed features of this patient in their own units, each against the model's smoothed expectation."""
    scale, grid, panel = results.indicators, results.timeline.grid, results.panel
    i = int(results.timeline.lanes[lane])
    out = []
    for j in np.flatnonzero(~scale.is_symptom):
        steps, slots = np.nonzero(((grid.observed[..., lane] > 0) & (grid.indicator[..., lane] == j)).T)
        if not steps.size:
            continue
        fitted, fitted_sd = (
            results.states.smoothed.fitted_mean[slots, steps, lane],
            results.states.smoothed.fitted_sd[slots, steps, lane],
        )
        described = describe(scale.names[j])
        records = panel.features if scale.names[j] in panel.features.names else panel.ema_means
        days, observed = records.of(i, scale.names[j])
        se = records.se[(records.patient == i) & (records.name == records.names.index(scale.names[j]))]
        loads = [word for c, word in _LOADS.items() if scale.loads[j, "fsew".index(c)]]
        out.append(
            show.Indicator(
                feature=scale.names[j],
                label=feature_label(scale.names[j]),
                note=described.meaning,
                unit=described.unit,
                days=days,
                observed=observed,
                se=se,
                fitted=scale.centre[j] + scale.scale[j] * fitted,
                fitted_sd=abs(scale.scale[j]) * fitted_sd,
                usable=np.ones(days.size, bool),
                informs="both" if loads == ["function", "structure"] else " and ".join(loads),
            )
        )
    return tuple(out)


def _intervals(estimate: Estimate, lane: int, rows: np.ndarray) -> tuple[show.Interval, ...]:
    columns = (estimate.mean, estimate.lower, estimate.upper)
    return tuple(show.Interval(*(float(v[r, lane]) for v in columns)) for r in rows)


_UNKNOWN = show.Interval(np.nan, np.nan, np.nan)
_HORIZON_ROWS = np.searchsorted(EDGES_DAYS[1:], HORIZONS_DAYS)


def _remanence(results: Results, lane: int) -> show.Remanence:
    outcome, stopped = results.outcome, results.outcome.relapse["stop"]
    if results.gone[lane] or not outcome.informed["stop"][lane]:
        return show.Remanence(basis=_why_not(results, lane))
    held = Estimate(1 - stopped.mean, 1 - stopped.upper, 1 - stopped.lower)
    shown = outcome.remanence_informed[lane] and np.isfinite(outcome.remanence.mean[0, lane])
    missing = (
        ""
        if shown
        else " Remanence itself is not shown: function today is too close to zero, or the data do not inform it."
    )
    return show.Remanence(
        horizon_days=tuple(EDGES_DAYS[1:][_HORIZON_ROWS].tolist()),
        remanence=_intervals(outcome.remanence, lane, _HORIZON_ROWS) if shown else (_UNKNOWN,) * len(_HORIZON_ROWS),
        hold=_intervals(held, lane, _HORIZON_ROWS),
        basis=show.Basis("data", _rests_on(results) + missing),
    )


def _forecasts(results: Results, lane: int, plan_words: Mapping[str, str]) -> show.Forecasts:
    plans = tuple(
        show.Forecast(
            plan=name,
            label=name,
            horizon_days=EDGES_DAYS,
            mean=_from_zero(estimate.mean[:, lane]),
            lower=_from_zero(estimate.lower[:, lane]),
            upper=_from_zero(estimate.upper[:, lane]),
            doses=plan_words[name] + (_standing_doses(results, lane) if name == "continue" else ""),
        )
        for name, estimate in results.outcome.relapse.items()
        if results.outcome.informed[name][lane] and not results.gone[lane]
    )
    basis = show.Basis("data", _rests_on(results)) if plans else _why_not(results, lane)
    return show.Forecasts(plans, basis)


def _why_not(results: Results, lane: int) -> show.Basis:
    """Why no forecast is shown."""
    why = not_forecast(results, lane)
    return show.Basis("nothing", why) if why else show.Basis("prior", _PRIOR)


def not_forecast(results: Results, lane: int) -> str:
    """Why nothing is forecast of this patient whatever the plan, in words; empty where something may be."""
    if results.gone[lane]:
        return _GONE
    if not results.fitted[lane]:
        return _UNKNOWN_DOSES
    return f"This patient {results.never_seen[lane]}" if results.never_seen[lane] else ""


def _standing_doses(results: Results, lane: int) -> str:
    """The doses of today in words: after a taper they may be next to nothing."""
    doses = continued(
        medication_of(results.panel, int(results.timeline.lanes[lane])).doses, float(results.timeline.today[lane])
    )
    standing = [
        f"{d} {mg:g} mg/day"
        for d, mg, stop in zip(doses.drug, doses.dose_mg_day, doses.stop_day, strict=True)
        if np.isinf(stop)
    ]
    return f": {', '.join(standing) or 'no drug'}"


def _from_zero(curve: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], curve])


def _rests_on(results: Results) -> str:
    if results.reference:
        return f"{results.reference}, seen through this patient's own records: a prior's forecast, not one learnt from patients like this one."
    taken = results.timeline.lanes[results.fitted]
    relapses, people = int(results.panel.relapsed[taken].sum()), len(taken)
    return (
        f"{relapses} relapses among {people} patients of this study, on this patient's own records, and on the model's form; "
        "it assumes that the doses given did not depend on anything unmeasured."
    )


_QUESTIONS = (
    "Does the drug hold function up while it is taken (passive)?",
    "Does the drug rebuild structure, so that the gain stays (active)?",
)


def _mechanisms(results: Results, lane: int | None) -> show.Mechanisms:
    c = results.comparison
    probability = c.cohort if lane is None else c.patient[lane]
    prior = PRIOR if lane is None else c.cohort
    own = c.identifiability.cohort if lane is None else c.identifiability.patient[lane]
    return show.Mechanisms(
        names=MECHANISMS,
        probability=tuple(map(float, probability)),
        prior=tuple(map(float, prior)),
        identifiable=bool(own.all()),
        reason=c.identifiability.reason + (_cohort_words(results) if lane is None else _own_weight(results, lane)),
        questions=tuple(_question(results, lane, e, bool(own[e])) for e in range(len(_QUESTIONS))),
        scores=_scores(results) if lane is None else (),
    )


def _scores(results: Results) -> tuple[show.PredictiveScore, ...]:
    if not results.left_out:
        return ()
    best = max(results.left_out, key=lambda score: score.total)
    return tuple(
        show.PredictiveScore(score.mechanism, score.total, *difference(score, best), score.message)
        for score in results.left_out
    )


def _cohort_words(results: Results) -> str:
    sd = posterior_sd(results.posterior, results.comparison.evidence_weight)
    return " " + deciding_priors(results.posterior.layout, sd)


def _question(results: Results, lane: int | None, effect: int, known: bool) -> show.Question:
    c = results.comparison
    cohort_knows = bool(c.identifiability.cohort[effect])
    probability = (c.cohort if lane is None else c.patient[lane]) @ SWITCHES[:, effect]
    by = "" if not cohort_knows else "the cohort" if lane is None or not known else "this patient and the cohort"
    return show.Question(_QUESTIONS[effect], float(probability) if cohort_knows else None, 0.5, by)


def _own_weight(results: Results, lane: int) -> str:
    known = results.comparison.identifiability
    if not known.cohort.any():
        return ""
    nats = known.weight_of_evidence[lane]
    return (
        f" This patient's own records alone are expected to shift the odds about {_fold(nats[0])} on the passive and {_fold(nats[1])} on the "
        "active question; where that is too little, the cohort's answer stands."
    )


def _fold(nats: float) -> str:
    """Weight of evidence as odds, for people."""
    return f"{np.exp(np.clip(nats, 0.0, np.log(1000))):.0f}-fold"


def cohort_view(results: Results | None, context: Context, patients: Sequence[show.PatientView]) -> show.CohortView:
    """The index page."""
    return show.CohortView(
        study=context.study,
        rows=tuple(row_of(view) for view in patients),
        mechanisms=show.Mechanisms() if results is None else _mechanisms(results, None),
        fit=fit_status(results),
        problems=context.problems,
        provenance=context.provenance,
        horizon_days=HEADLINE_DAYS,
        flags=context.comparable.cohort_flags,
        calibration=context.checks.calibration,
        sites=context.checks.sites,
    )


def row_of(view: show.PatientView) -> show.CohortRow:
    """A participant's row on the index page."""
    t = view.timeline
    changes = {d for dose in t.doses for d in (dose.start_day, dose.stop_day) if np.isfinite(d)}
    visits = {
        "symptoms": tuple(sorted({float(d) for s in t.symptoms for d in s.days})),
        "scan": tuple(s.day for s in t.scans),
        "ect": tuple(e.day for e in t.ect),
        "dose change": tuple(sorted(changes)),
    }
    for event in t.events:
        visits[event.event] = (*visits.get(event.event, ()), event.day)
    at = HEADLINE_DAYS
    holds = dict(zip(view.remanence.horizon_days, view.remanence.hold, strict=True))
    row = int(np.searchsorted(EDGES_DAYS, at))
    return show.CohortRow(
        participant_id=view.participant_id,
        advice=view.advice.code,
        reason=view.advice.reasons[0] if view.advice.reasons else "",
        today=t.today,
        counts={
            "ECT sessions": len(t.ect),
            "symptom visits": len(visits["symptoms"]),
            "usable scans": sum(s.usable for s in t.scans),
            "scans": len(t.scans),
            "dose changes": len(changes),
        },
        visits=visits,
        hold=holds.get(at),
        relapse={
            f.label: show.Interval(float(f.mean[row]), float(f.lower[row]), float(f.upper[row]))
            for f in view.forecasts.plans
        },
        set_aside=sum(p.action != "used" for p in view.problems),
        unsaid=_UNSAID.get(view.forecasts.basis.reason, "cannot be said"),
        flags=view.flags,
    )
