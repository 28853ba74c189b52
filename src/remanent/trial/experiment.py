"""One replicate of a virtual trial: population drawn, patients drawn, every policy run on them. A pure function of its job, for any kind of worker."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from remanent.dynamics.design import Design
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior
from remanent.dynamics.model import Params
from remanent.dynamics.priors import MECHANISMS, layout, to_params
from remanent.dynamics.reference import reference_posterior, reference_words
from remanent.study.crosswalks import HUB, as_hub, crosswalks
from remanent.study.schema import INSTRUMENTS
from remanent.trial.contrast import measured_by, mechanism_curve, typical_measures
from remanent.trial.design import TrialSpec
from remanent.trial.judge import Records, design_of, holds, usual_class
from remanent.trial.policy import Outcome, Policy, oracle, regret, run, scores_and_states
from remanent.trial.power import Curve
from remanent.trial.world import SCALE, STEP_DAYS, Entry, Scale, Truth, World, draw_remitters, draw_world

STREAMS = {"population": 1, "world": 2, "oracle": 3, "scans": 4, "contrast": 5}

Known = tuple[Design, Posterior] | None  # a fitted population; None: the reference prior


@dataclass(frozen=True)
class Job:
    """What a replicate needs; it travels to a worker."""

    spec: TrialSpec
    known: Known
    number: int
    entry: Entry


@dataclass(frozen=True)
class Replicate:
    """What a replicate found: outcomes and regret by policy, [lane], and the mechanism that was true."""

    number: int
    mechanism: str
    outcomes: Mapping[str, Outcome]
    regret: Mapping[str, np.ndarray]
    let_in: float


@dataclass(frozen=True)
class _Drawn:
    """The population of a replicate: its mechanism, its parameters and those that its patients have."""

    mechanism: int
    params: Params
    posterior: Posterior
    truth: Truth


def check_entry(job: Job) -> None:
    """Draw a replicate's patients and nothing else.

    Raises
    ------
    InputError
        Hardly anybody would be let in.
    """
    rng = _streams(job)
    draw_remitters(rng["world"], _drawn(rng["population"], job).truth, job.spec.patients, job.entry)


def replicate(job: Job) -> Replicate:
    """Run every policy on one draw of the population; the same job gives the same numbers wherever it runs."""
    spec, rng = job.spec, _streams(job)
    drawn = _drawn(rng["population"], job)
    steps = int(np.ceil(spec.follow_up_days / STEP_DAYS))
    stages = max((len(p.stages) for p in spec.policies), default=1)
    plan = {"steps": steps, "visits": len(spec.visit_days), "stages": stages, "entry": job.entry}
    world = draw_world(rng["world"], drawn.truth, spec.patients, plan)
    looked = {}
    if any(policy.uses_scans for policy in spec.policies):
        records = _records(rng["scans"], world, spec, (drawn.params, drawn.posterior, job.known))
        known = job.known or _reference(records)
        looked = holds(records, known, weights(known[1]), spec.decision_days, spec.seed)
    protocol = spec.protocol(looked)
    outcomes = {policy.name: run(world, policy, protocol) for policy in spec.policies}
    candidates = [policy for policy in spec.policies if not _conditional(policy)]
    candidates = candidates or [spec.policies[0]]
    choice = oracle(rng["oracle"], world, candidates, protocol)
    lost = regret(outcomes, choice, [p.name for p in candidates])
    return Replicate(job.number, MECHANISMS[drawn.mechanism], outcomes, lost, world.let_in)


def _streams(job: Job) -> dict[str, np.random.Generator]:
    return {name: np.random.default_rng([job.spec.seed, job.number, k]) for name, k in STREAMS.items()}


def _drawn(rng: np.random.Generator, job: Job) -> _Drawn:
    mechanism, theta, posterior = draw_population(rng, job.spec.mechanism, job.known)
    params = to_params(jnp.asarray(theta), posterior.layout, jnp.asarray(posterior.layout.acting(mechanism)))
    truth = truth_of(params, _rated(posterior), usual_class(job.known[0]) if job.known else None)
    return _Drawn(mechanism, params, posterior, truth)


def contrast_curve(spec: TrialSpec, known: Known) -> Curve | None:
    """The curve of the mechanism contrast; None where the specification does not ask."""
    if spec.contrast is None:
        return None
    rng = np.random.default_rng([spec.seed, STREAMS["contrast"]])
    return mechanism_curve(rng, known[1] if known else typical_measures(), spec.contrast, typical=known is None)


def reference_note() -> str:
    """What the virtual patients are drawn from where no fitted population is named."""
    return reference_words()


def weights(posterior: Posterior) -> np.ndarray:
    """Probability of each mechanism by the evidence."""
    evidence = np.array([fit.log_evidence for fit in posterior.fits])
    return np.exp(evidence - logsumexp(evidence))


def draw_population(rng: np.random.Generator, mechanism: str, known: Known) -> tuple[int, np.ndarray, Posterior]:
    """A mechanism and its population parameters."""
    posterior = known[1] if known else measured_by({SCALE: "fw"})
    m = int(rng.choice(len(MECHANISMS), p=weights(posterior)))
    m = m if mechanism == "posterior" else MECHANISMS.index(mechanism)
    return m, posterior.fits[m].draw(rng, 1)[0], posterior


def truth_of(params: Params, j: int, drug_class: int | None) -> Truth:
    """The virtual patients' parameters: indicator `j` is severity, their drug is of this class of the fitted design (None: of the average class)."""
    mu, sd_mu, l_f, l_w, sigma = (
        float(np.asarray(getattr(params, name))[j]) for name in ("mu", "sd_mu", "l_f", "l_w", "sigma")
    )
    names = (
        "k_f",
        "r",
        "c",
        "a",
        "p",
        "sd_p",
        "mu_gs",
        "sd_gs",
        "sd_gf",
        "sig_f",
        "sig_s",
        "omega",
        "tau_w",
        "h0",
        "eta_f",
    )
    rho, alpha = (1.0 if drug_class is None else float(v[drug_class]) for v in (params.rho, params.alpha))
    times = {"p": rho, "sd_p": rho, "a": alpha}
    return Truth(
        **{name: float(getattr(params, name)) * times.get(name, 1.0) for name in names},
        scale=Scale(mu, sd_mu, l_f, l_w, sigma),
    )


def _rated(posterior: Posterior) -> int:
    """Indicator of the 24-item Hamilton scale, or of the first rating there is."""
    names = [n[3:-1] for n in posterior.layout.names if n.startswith("mu[")]
    return names.index(SCALE) if SCALE in names else 0


def read_as_if(scores: np.ndarray, instrument: str, scales: Indicators | None) -> np.ndarray:
    """Scores of the 24-item Hamilton scale as the fitted study's own instrument would show them."""
    if instrument == SCALE or scales is None:
        return scores
    known = crosswalks()
    at_hub = as_hub(scores, known[SCALE].own, known[SCALE].hub)
    if instrument == HUB:
        return at_hub
    if instrument in known:
        return as_hub(at_hub, known[instrument].hub, known[instrument].own)
    j = scales.names.index(instrument)
    half = (INSTRUMENTS[HUB].maximum - INSTRUMENTS[HUB].minimum) / 2
    return np.asarray(scales.centre[j] + scales.scale[j] * at_hub / half)


def _conditional(policy: Policy) -> bool:
    return any(s.hold_at_least is not None or s.score_at_most is not None or len(s.options) > 1 for s in policy.stages)


def _reference(records: Records) -> tuple[Design, Posterior]:
    design = design_of(records)
    return design, reference_posterior(layout(design))


def _records(rng: np.random.Generator, world: World, spec: TrialSpec, made: tuple[Params, Posterior, Known]) -> Records:
    """What is seen of patients who never stop: ratings at visits up to the last decision, features of the fitted design on decision days."""
    params, posterior, known = made
    path = scores_and_states(world, spec.protocol({}))
    rated = np.array([d for d in path.visit_days if d <= spec.last_decision_day])
    names, j = posterior.layout.names, _rated(posterior)
    scales = known[0].indicators if known else None
    measured = [] if scales is None else [k for k in range(len(scales.names)) if not scales.is_symptom[k]]
    days = np.array(spec.decision_days)
    scans = np.zeros((len(measured), len(days), len(world.f)))
    for row, k in enumerate(measured):
        own = float(params.sd_mu[k]) * rng.standard_normal(len(world.f))
        for column, day in enumerate(days):
            f, s = path.at(day)
            z = float(params.mu[k]) + own + float(params.l_f[k]) * f + float(params.l_s[k]) * s
            z = z + float(params.sigma[k]) * rng.standard_normal(len(f))
            scans[row, column] = scales.centre[k] + scales.scale[k] * z if scales is not None else z
    instrument = names[[n.startswith("mu[") for n in names].index(True) + j][3:-1]
    scores = read_as_if(path.scores[: len(rated)], instrument, scales)
    return Records(
        instrument,
        rated,
        scores,
        days,
        tuple(scales.names[k] for k in measured) if scales is not None else (),
        scans,
        path.relapse_day,
        world.entry,
    )
