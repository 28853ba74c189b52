"""Group level: from the record to mechanisms, states, forecasts and advice. A pure function of the record's content, the seed and the thresholds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from remanent.dynamics import compare as comparing
from remanent.dynamics.compare import Comparison
from remanent.dynamics.design import Design, choose_design
from remanent.dynamics.grid import TimeLine, build_timeline, medication_of, padded_lanes
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior, fit, on_data, without_runaways
from remanent.dynamics.leave_out import LeftOut, leave_out
from remanent.dynamics.model import FormName
from remanent.dynamics.priors import MECHANISMS, layout
from remanent.dynamics.reference import reference_on, reference_words
from remanent.dynamics.sample import sampled
from remanent.dynamics.states import States, posterior_states
from remanent.dynamics.steps import Grid, unobserved, without_patients
from remanent.plan.decide import Advice, Situation, Thresholds, decide, shipped_thresholds
from remanent.relapse.predict import (
    Ensemble,
    ensemble_at,
    posterior_ensemble,
    prior_ensemble,
)
from remanent.stages.comparison import weigh_drawn
from remanent.stages.contribution import Contribution, contributions
from remanent.stages.options import Inference
from remanent.stages.outcome import Outcome, enough_relapses, forecast, learnt_from, of_reference, withheld
from remanent.stages.population import never_seen
from remanent.stages.situation import situation_of
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
class Results:
    """Everything the group level found. `situation`, `advice` and `gone` (no longer at risk of a first relapse) by lane.

    `reference` names the reference prior where the study is too small to fit a population: its numbers are then a prior's, seen through these patients.
    `never_seen`: by lane, what the patient is given that the fitted population never was, in words; empty where nothing.
    `unknown_doses`: participants whose doses are not fully known; they say nothing of what a drug does, and the population was not fitted to them.
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
    unknown_doses: frozenset[str]
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
    def fitted(self) -> np.ndarray:
        """Whether the population was fitted to the patient, [lane]."""
        return learnt_from(self.panel, self.unknown_doses)[self.timeline.lanes]

    @property
    def foreseeable(self) -> np.ndarray:
        """Whether what the patient is given is known, and known to the population, so that anything can be forecast, [lane]."""
        return self.fitted & np.array([not words for words in self.never_seen], bool)

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
    standing = standing or Standing()
    fitted = learnt_from(panel, standing.unknown_doses)[timeline.lanes]
    few = known[1].reference if known else int(fitted.sum()) < comparing.settings()["cohort"]["patients"]["value"]
    seen = timeline if fitted.all() else _apart(timeline, fitted)
    posterior = alone.drawn[0].posterior if alone.drawn else _settled(seen, known[1] if known else None, few=few)
    forms: Mapping[str, float] = {}
    if how.form == "both" and known is None and not few:
        design, posterior, forms = _better_form(design, posterior, seen.grid)
        timeline, seen = replace(timeline, design=design), replace(seen, design=design)
        log("forms", **{name: round(p, 4) for name, p in forms.items()})
    if how.inference == "nuts" and not few:
        posterior = sampled(posterior, seen.grid, seed)
    _log_fits(posterior, "reference" if few else "population" if known else "fit", log)
    told = known[2] if known is not None and len(known) == 3 else None
    comparison = told or comparing.compare(posterior, seen.grid, len(timeline.lanes), seed)
    log("compare", **{m: round(float(p), 4) for m, p in zip(MECHANISMS, comparison.cohort, strict=True)})
    after, before = alone.drawn or ensembles(seen, posterior, comparison.evidence_weight, seed, alone)
    if known is None and not few:
        posterior = weigh_drawn(posterior, after, log)
    outcome = forecast(panel, timeline, after, before, standing.unknown_doses)
    outcome = of_reference(outcome, timeline.grid) if few else outcome
    unseen = _never_seen(panel, timeline, outcome)
    outcome = withheld(outcome, ~fitted | np.array([bool(words) for words in unseen]))
    lacks = _lacks(panel, comparison, enough=enough_relapses(panel, standing.unknown_doses))
    table = thresholds or shipped_thresholds()
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
        left_out=() if told else leave_out(posterior, seen.grid, len(timeline.lanes)),
        added=() if told else contributions(after, seen, outcome.dose["continue"], seed),
        seed=seed,
        forms=forms,
        after=after,
        before=before,
        reference=reference_words() if few else "",
        never_seen=unseen,
        unknown_doses=standing.unknown_doses,
    )


def _apart(timeline: TimeLine, fitted: np.ndarray) -> TimeLine:
    """The same, nothing having been seen of patients who are not fitted."""
    empty = timeline.grid.dt.shape[1] - fitted.size
    return replace(timeline, grid=without_patients(timeline.grid, np.pad(fitted * 1.0, (0, empty))))


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


def _never_seen(panel: Panel, timeline: TimeLine, outcome: Outcome) -> tuple[str, ...]:
    """By lane, see `population.never_seen`."""
    ahead, treated = outcome.dose["continue"], set(panel.ect_patient.tolist())
    return tuple(
        never_seen(timeline.design, medication_of(panel, i).doses, ahead[..., lane], ect=i in treated)
        for lane, i in enumerate(timeline.lanes.tolist())
    )


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


def _lacks(panel: Panel, comparison: Comparison, *, enough: bool) -> tuple[str, ...]:
    """What this study would need before it could answer more, in words."""
    known = comparison.identifiability.cohort
    structural = any(n.startswith(("sc_", "sfc_")) for n in panel.features.names)
    wanted = (
        (not panel.symptoms.value.size, "symptom ratings"),
        (
            not enough,
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
