"""Group level: from the record to mechanisms, states, forecasts and advice. A pure function of the record's content, the seed and the thresholds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from remanent.dynamics import compare as comparing
from remanent.dynamics.compare import Comparison
from remanent.dynamics.design import Design, choose_design
from remanent.dynamics.grid import TimeLine, build_timeline, look_ahead, medication_of, padded_lanes, total_exposure
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior, fit, on_data, without_runaways
from remanent.dynamics.leave_out import LeftOut, leave_out
from remanent.dynamics.model import FormName
from remanent.dynamics.priors import MECHANISMS, layout
from remanent.dynamics.reference import reference_on, reference_words
from remanent.dynamics.sample import sampled
from remanent.dynamics.states import States, posterior_states
from remanent.dynamics.steps import Grid, unobserved
from remanent.plan.decide import Advice, Interval, Situation, Thresholds, decide, shipped_thresholds, thresholds_for
from remanent.plan.simulate import STANDARD_PLANS, planned_exposure
from remanent.relapse.predict import (
    EDGES_DAYS,
    Ensemble,
    Estimate,
    contraction,
    ensemble_at,
    kept,
    narrowing,
    posterior_ensemble,
    prior_ensemble,
    relapse_probability,
    remanence,
)
from remanent.stages.comparison import weigh_drawn
from remanent.stages.contribution import Contribution, contributions
from remanent.stages.options import Inference
from remanent.stages.population import never_seen
from remanent.stages.standing import Standing
from remanent.study.panel import Panel

DRAWS = 240
PRIOR_DRAWS = 480
STATE_DRAWS = 25

Population = tuple[Design, Posterior]
Compared = tuple[Design, Posterior, Comparison]


@dataclass(frozen=True)
class Fitting:
    """How a population is to be fitted: inference (nuts: sampled by `dynamics.sample` after the mode), `Design.breaks`, and the form, or both, compared."""

    inference: Inference = "laplace"
    hazard_breaks: tuple[float, ...] = ()
    form: Literal["linear", "two-basin", "both"] = "linear"

    @property
    def first_form(self) -> FormName:
        """The form that is fitted first."""
        return "linear" if self.form == "both" else self.form


@dataclass(frozen=True)
class Outcome:
    """Forecasts of every lane.

    Attributes
    ----------
    dose
        By plan, mean exposure over each interval of `EDGES_DAYS`, [class, interval, lane] in the order of `CLASSES`.
    relapse
        By plan, probability of relapse up to each interval end of `EDGES_DAYS`, [interval, lane].
    informed
        By plan, whether the data moved that forecast enough to be shown, [lane].
    remanence, remanence_informed
        Under withdrawal; NaN where undefined, [interval, lane]; [lane].
    unseen
        By plan, probability of relapse from the prior's draws of each mechanism, [interval, draw, lane].
    """

    dose: Mapping[str, np.ndarray]
    relapse: Mapping[str, Estimate]
    informed: Mapping[str, np.ndarray]
    remanence: Estimate
    remanence_informed: np.ndarray
    unseen: Mapping[str, list[np.ndarray]]


@dataclass(frozen=True)
class Results:
    """Everything the group level found. `situation`, `advice` and `gone` (no longer at risk of a first relapse) by lane.

    `reference` names the reference prior where the study is too small to fit a population: its numbers are then a prior's, seen through these patients.
    `never_seen`: by lane, what the patient is given that the fitted population never was, in words; empty where nothing.
    `forms`: probability of each form of the model, where both were fitted. `after`, `before`: the draws of today behind the forecasts, posterior and prior.
    """

    panel: Panel
    design: Design
    timeline: TimeLine
    posterior: Posterior
    comparison: Comparison
    found_states: States | None
    outcome: Outcome
    situation: tuple[Situation, ...]
    advice: tuple[Advice, ...]
    gone: np.ndarray
    never_seen: tuple[str, ...]
    lacks: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    added: tuple[Contribution, ...]
    seed: int
    forms: Mapping[str, float]
    after: Ensemble
    before: Ensemble
    reference: str = ""

    @property
    def states(self) -> States:
        """States given everything.

        Raises
        ------
        ValueError
            Only forecasts were asked for.
        """
        if self.found_states is None:
            raise ValueError("states were not computed")
        return self.found_states

    @property
    def indicators(self) -> Indicators:
        """The measures of the fit."""
        return self.design.indicators


@dataclass(frozen=True)
class Alone:
    """What is known of one patient who is looked at alone.

    Attributes
    ----------
    drawn
        Draws of today after and before the data: forecasts rest on them, and states are not computed.
    like
        The cohort's draws after and before the data: the patient's are drawn at the same population parameters, so that what data inform is told alike.
    lane
        Where the patient stands among those draws: without a new record, they are drawn again to rounding. None: not among them.
    least_steps
        See `build_timeline`.
    """

    drawn: tuple[Ensemble, Ensemble] | None = None
    like: tuple[Ensemble, ...] = ()
    lane: int | None = None
    least_steps: int = 1


def analyse(
    panel: Panel,
    *,
    seed: int,
    thresholds: Mapping[str, Thresholds | None] | None,
    log: Callable[..., None],
    population: Population | Compared | Fitting = Fitting(),
    standing: Standing | None = None,
    alone: Alone = Alone(),
) -> Results | None:
    """Fit (or take a fitted `population`), compare, forecast, advise; None where no patient has a dated record or nothing was measured.

    `population`: how to fit it, or a fitted one; one that comes with its comparison keeps it, and neither what each kind of data added nor scores of
    patients left out are computed. `standing` says whose forecast cannot be relied on; None: everyone's can.
    `alone`: what is known of one patient beforehand.
    """
    how, known = (population, None) if isinstance(population, Fitting) else (Fitting(), population)
    design = known[0] if known else choose_design(panel, how.hazard_breaks, how.first_form)
    if not design.indicators.names or not np.isfinite(panel.last_day).any():
        return None
    timeline = build_timeline(panel, design, (0, alone.least_steps, 0))
    log("grid", patients=len(timeline.lanes), steps=int(timeline.steps.max()), indicators=len(design.indicators.names))
    few = known[1].reference if known else len(timeline.lanes) < comparing.settings()["cohort"]["patients"]["value"]
    posterior = alone.drawn[0].posterior if alone.drawn else _settled(timeline, known[1] if known else None, few=few)
    forms: Mapping[str, float] = {}
    if how.form == "both" and known is None and not few:
        design, posterior, forms = _better_form(design, posterior, timeline.grid)
        timeline = replace(timeline, design=design)
        log("forms", **{name: round(p, 4) for name, p in forms.items()})
    if how.inference == "nuts" and not few:
        posterior = sampled(posterior, timeline.grid, seed)
    _log_fits(posterior, "reference" if few else "population" if known else "fit", log)
    told = known[2] if known is not None and len(known) == 3 else None
    comparison = told or comparing.compare(posterior, timeline.grid, len(timeline.lanes), seed)
    log("compare", **{m: round(float(p), 4) for m, p in zip(MECHANISMS, comparison.cohort, strict=True)})
    after, before = alone.drawn or ensembles(timeline, posterior, comparison.evidence_weight, seed, alone)
    if known is None and not few:
        posterior = weigh_drawn(posterior, after, log)
    outcome = forecast(panel, timeline, after, before)
    outcome = _of_reference(outcome, timeline.grid) if few else outcome
    unseen = _never_seen(panel, timeline, outcome)
    outcome = _withheld(outcome, np.array([bool(words) for words in unseen]))
    lacks = _lacks(panel, comparison)
    table, standing = thresholds or shipped_thresholds(), standing or Standing()
    people = [panel.patients[i] for i in timeline.lanes]
    unfit: tuple[str, ...] = () if posterior.converged else ("a fit did not converge, and no advice is given on it",)
    unfit += (f"the forecast rests on {reference_words()}, and no advice is given on it",) if few else ()
    situation = tuple(
        replace(
            situation_of(panel, timeline, outcome, lane, table),
            relapse_day=standing.relapse_day.get(who),
            lacks=lacks,
            void=(*standing.void.get(who, ()), *filter(None, [unseen[lane]]), *unfit),
        )
        for lane, who in enumerate(people)
    )
    return Results(
        panel=panel,
        design=design,
        timeline=timeline,
        posterior=posterior,
        comparison=comparison,
        found_states=None
        if alone.drawn
        else posterior_states(
            posterior, timeline.grid, comparison.evidence_weight, STATE_DRAWS, np.random.default_rng(seed)
        ),
        outcome=outcome,
        situation=situation,
        advice=tuple(decide(s, table) for s in situation),
        gone=np.array([standing.gone(who) for who in people], bool),
        lacks=lacks,
        left_out=() if told else leave_out(posterior, timeline.grid, len(timeline.lanes)),
        added=() if told else contributions(after, timeline, outcome.dose["continue"], seed),
        seed=seed,
        forms=forms,
        after=after,
        before=before,
        reference=reference_words() if few else "",
        never_seen=unseen,
    )


def _log_fits(posterior: Posterior, event: str, log: Callable[..., None]) -> None:
    for one in posterior.fits:
        by = "laplace" if one.sampling is None else "nuts"
        log(event, mechanism=one.mechanism, by=by, converged=one.converged, log_evidence=round(one.log_evidence, 3))


def _settled(timeline: TimeLine, known: Posterior | None, *, few: bool) -> Posterior:
    """The population fitted before, the reference prior for a study too small to fit one, or a fit; nothing that ran away."""
    grid = timeline.grid
    if known is not None:
        return without_runaways(on_data(known, grid), grid)
    wanted = layout(timeline.design)
    return without_runaways(reference_on(wanted, grid) if few else fit(wanted, grid), grid)


def _of_reference(outcome: Outcome, grid: Grid) -> Outcome:
    """Under the reference prior, which is of people after ECT, every forecast of a patient who had ECT is shown, and labelled; nobody else's is."""
    treated = np.asarray(grid.ect).max((0, 1), initial=0.0)[: outcome.remanence_informed.size] > 0
    return replace(outcome, informed=dict.fromkeys(outcome.informed, treated), remanence_informed=treated)


def _never_seen(panel: Panel, timeline: TimeLine, outcome: Outcome) -> tuple[str, ...]:
    """By lane, see `population.never_seen`."""
    ahead, treated = outcome.dose["continue"], set(panel.ect_patient.tolist())
    return tuple(
        never_seen(timeline.design, medication_of(panel, i).doses, ahead[..., lane], ect=i in treated)
        for lane, i in enumerate(timeline.lanes.tolist())
    )


def _withheld(outcome: Outcome, lanes: np.ndarray) -> Outcome:
    """Nothing is forecast for some lanes."""
    informed = {plan: known & ~lanes for plan, known in outcome.informed.items()}
    return replace(outcome, informed=informed, remanence_informed=outcome.remanence_informed & ~lanes)


def _better_form(design: Design, linear: Posterior, grid: Grid) -> tuple[Design, Posterior, Mapping[str, float]]:
    """The form whose four mechanisms together have more evidence, its fit, and the probability of each form (equal prior probabilities)."""
    other = replace(design, form="two-basin")
    rival = without_runaways(fit(layout(other), grid), grid)
    evidence = np.array([logsumexp([f.log_evidence for f in posterior.fits]) for posterior in (linear, rival)])
    linear_share, rival_share = np.exp(evidence - logsumexp(evidence)).tolist()
    forms = {"linear": linear_share, "two-basin": rival_share}
    return (other, rival, forms) if rival_share > linear_share else (design, linear, forms)


def ensembles(
    timeline: TimeLine,
    posterior: Posterior,
    evidence_weight: np.ndarray,
    seed: int,
    alone: Alone = Alone(),
) -> tuple[Ensemble, Ensemble]:
    """Draws of every lane's today, posterior and prior; of a patient who is looked at alone, as in the cohort's draws."""
    lanes, rng = len(timeline.lanes), np.random.default_rng(seed)
    weight = np.repeat(evidence_weight[None], lanes, 0)
    if alone.like:
        known = [dict(zip(e.mechanisms, (t.theta for t in e.today), strict=True)) for e in alone.like]
        blind, even = unobserved(timeline.grid), np.ones((lanes, len(MECHANISMS)))
        among = None if alone.lane is None else (alone.lane, padded_lanes(len(alone.like[0].weight)))
        for m, theta in known[0].items():  # what comes next from `rng` is then what the cohort's draws took
            posterior.fits[m].draw(rng, len(theta))
        after = ensemble_at(posterior, known[0], timeline.grid, weight, rng, among)
        for theta in known[1].values():
            rng.standard_normal(theta.shape)
        return after, ensemble_at(posterior, known[1], blind, even, rng, among)
    after = posterior_ensemble(posterior, timeline.grid, weight, DRAWS, rng)
    return after, prior_ensemble(posterior, timeline.grid, lanes, PRIOR_DRAWS, rng)


def forecast(panel: Panel, timeline: TimeLine, after: Ensemble, before: Ensemble) -> Outcome:
    """Every standard plan for every lane, under the posterior and, to see what the data added, under the prior."""
    given = [medication_of(panel, int(i)) for i in timeline.lanes]
    limits = comparing.settings()["informed"]
    least, enough = limits["contraction"]["value"], panel.relapsed.sum() >= limits["relapses"]["value"]
    dose = {name: planned_exposure(plan, given, timeline.today, EDGES_DAYS) for name, plan in STANDARD_PLANS.items()}
    relapse, informed, unseen = {}, {}, {}
    for name in STANDARD_PLANS:
        outlook = look_ahead(timeline, dose[name], EDGES_DAYS)
        rolled, blind = kept(after, outlook), kept(before, outlook)
        relapse[name] = relapse_probability(after, rolled)
        unseen[name] = [1 - a.survival for a in blind]
        removed = contraction([1 - a.survival for a in rolled], unseen[name], (after.weight, before.weight))
        informed[name] = enough & (removed >= least)
        if name == "stop":
            remains = remanence(after, rolled)
            kept_function = narrowing(
                [a.function for a in rolled], [a.function for a in blind], (after.weight, before.weight)
            )
            remains_informed = kept_function >= least
    return Outcome(dose, relapse, informed, remains, remains_informed, unseen)


def _lacks(panel: Panel, comparison: Comparison) -> tuple[str, ...]:
    """What this study would need before it could answer more, in words."""
    known = comparison.identifiability.cohort
    structural = any(n.startswith(("sc_", "sfc_")) for n in panel.features.names)
    wanted = (
        (not panel.symptoms.value.size, "symptom ratings"),
        (
            panel.relapsed.sum() < comparing.settings()["informed"]["relapses"]["value"],
            "more relapses on record, and the end of observation of those without one, in events.tsv",
        ),
        (not panel.doses.patient.size, "medication with start and stop days"),
        (not structural, "a measure of structure (a structural connectome at two visits or more)"),
        (
            not known[0],
            "dose changes (start, taper or stop) between measurements: they show whether the drug holds function up",
        ),
        (not known[1], "structure measured over months on and off the drug: it shows whether the drug rebuilds"),
    )
    return tuple(words for lacking, words in wanted if lacking)


def situation_of(
    panel: Panel,
    timeline: TimeLine,
    outcome: Outcome,
    lane: int,
    table: Mapping[str, Thresholds | None],
) -> Situation:
    """What the numbers say; what is on record beside them is added by `analyse`."""
    i, today = int(timeline.lanes[lane]), float(timeline.today[lane])
    limits = thresholds_for(panel.diagnosis[i], table) or table["default"] or {}
    horizon, recent = limits["horizon_days"]["value"], today - limits["recent_days"]["value"]
    days = np.unique(np.floor(panel.symptoms.of(i)[0]))
    relapse = {
        name: _at(estimate, horizon, lane) if outcome.informed[name][lane] else None
        for name, estimate in outcome.relapse.items()
    }
    on_plan, on_taper, stopped = relapse["continue"], relapse["taper"], relapse["stop"]
    given = medication_of(panel, i)
    return Situation(
        diagnosis=panel.diagnosis[i],
        hold=None if stopped is None else Interval(1 - stopped.mean, 1 - stopped.upper, 1 - stopped.lower),
        relapse_91=_at(outcome.relapse["continue"], 91, lane) if outcome.informed["continue"][lane] else None,
        on_plan=on_plan,
        extra_relapse=None if on_plan is None or on_taper is None else on_taper.mean - on_plan.mean,
        exposure=float(total_exposure(given.doses, given.levels, np.array([today, today + 1e-6]))[0]),
        ratings_after_day_0=int((days >= 0).sum()),
        days_since_rating=float(np.floor(today) - days.max()) if days.size else None,
        crp_mg_l=_latest(panel.labs.of(i, "crp"), recent),
        sleep_h=_latest(panel.sleep.of(i, "tst_h"), recent),
        relapse_day=None,
    )


def _at(estimate: Estimate, days: float, lane: int) -> Interval:
    row = int(np.searchsorted(EDGES_DAYS[1:], days))
    return Interval(*(float(v[row, lane]) for v in (estimate.mean, estimate.lower, estimate.upper)))


def _latest(days_values: tuple[np.ndarray, np.ndarray], since: float) -> float | None:
    days, values = days_values
    return float(values[np.argmax(days)]) if days.size and days.max() >= since else None
