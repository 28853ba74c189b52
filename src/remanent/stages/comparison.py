"""What stands behind the mechanism probabilities, as columns: evidence, predictive score and status of each fit; what the design can inform, by name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from remanent.dynamics.compare import Comparison, posterior_sd, settings
from remanent.dynamics.infer import Fit, Posterior
from remanent.dynamics.leave_out import LeftOut, difference
from remanent.dynamics.priors import table, where
from remanent.dynamics.weighing import message, weigh
from remanent.relapse.predict import Ensemble

Columns = dict[str, list[Any]]


def comparison_table(posterior: Posterior, left_out: Sequence[LeftOut]) -> Columns:
    """One row a mechanism; predictive scores are compared with the best one's."""
    check = [fit.weighed for fit in posterior.fits]
    best = max(left_out, key=lambda score: score.total)
    gaps = [difference(score, best) for score in left_out]
    chains = [fit.sampling for fit in posterior.fits]
    return {
        "mechanism": [fit.mechanism for fit in posterior.fits],
        "inference": ["laplace" if c is None else "nuts" for c in chains],
        "log_evidence": [fit.log_evidence for fit in posterior.fits],
        "evidence_error": [_finite(c.evidence_error) if c else None for c in chains],
        "loo": [score.total for score in left_out],
        "loo_se": [score.se for score in left_out],
        "loo_difference": [gap for gap, _ in gaps],
        "loo_difference_se": [se for _, se in gaps],
        "worst_k": [_finite(score.doubt.max()) if score.by_weights else None for score in left_out],
        "worst_step": [None if score.by_weights else _finite(score.doubt.max()) for score in left_out],
        "doubtful_patients": [score.doubtful for score in left_out],
        "rhat": [_finite(c.rhat) if c else None for c in chains],
        "bulk_ess": [_finite(c.bulk_ess) if c else None for c in chains],
        "divergences": [c.divergences if c else None for c in chains],
        "converged": [fit.converged for fit in posterior.fits],
        "message": [_message(*one) for one in zip(posterior.fits, left_out, strict=True)],
        "laplace_gap": [c.gap if c else None for c in check],
        "laplace_gap_error": [c.error if c else None for c in check],
        "laplace_k": [_finite(c.k) if c else None for c in check],
    }


def weigh_drawn(posterior: Posterior, after: Ensemble, log: Callable[..., None]) -> Posterior:
    """The same, each Gaussian weighed by the draws behind the forecasts; a mechanism without weight has none."""
    fits = list(posterior.fits)
    for m, today, log_lik in zip(after.mechanisms, after.today, after.log_lik, strict=True):
        found = weigh(fits[m], today.theta, log_lik)
        fits[m] = replace(fits[m], weighed=found)
        if found is not None:
            shown = {name: round(getattr(found, name), 2) for name in ("gap", "error", "k")}
            log("weigh", mechanism=fits[m].mechanism, **shown)
    return replace(posterior, fits=tuple(fits))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _message(fit: Fit, score: LeftOut) -> str:
    checked = f"; the Gaussian approximation {message(fit.weighed)}" if fit.weighed else ""
    return f"Fit: {fit.message}{checked}. Score of patients left out: {score.message}."


def identifiability_table(posterior: Posterior, comparison: Comparison) -> Columns:
    """Every pair of mechanisms, then every parameter: what the design is expected to leave of the prior's spread, and what this fit left of it."""
    known, layout = comparison.identifiability, posterior.layout
    found = posterior_sd(posterior, comparison.evidence_weight)
    contrasts, parameters = known.contrasts, list(range(layout.size))
    limit = settings()["identifiable"]["sd_ratio"]["value"]
    return {
        "kind": ["contrast"] * len(contrasts) + ["parameter"] * len(parameters),
        "name": [f"{c.one} or {c.other}" for c in contrasts] + list(layout.names),
        "expected_sd_ratio": [c.sd_ratio for c in contrasts] + known.parameter_sd.tolist(),
        "expected_nats": [c.nats for c in contrasts] + [None] * len(parameters),
        "informed": [c.informed for c in contrasts] + (known.parameter_sd <= limit).tolist(),
        "posterior_sd_ratio": [None] * len(contrasts) + found.tolist(),
        "decided_by": [None] * len(contrasts) + [_decided_by(ratio) for ratio in found],
        "prior": [None] * len(contrasts) + [_prior(name) for name in layout.names],
        "traded_against": [c.traded_against or None for c in contrasts] + [None] * len(parameters),
        "sd_ratio_if_known": [c.if_known for c in contrasts] + [None] * len(parameters),
    }


def _decided_by(ratio: float) -> str:
    limits = settings()["identifiable"]
    if ratio <= limits["sd_ratio"]["value"]:
        return "data"
    return "prior" if ratio > limits["prior_decides"]["value"] else "both"


def _prior(name: str) -> str | None:
    """Centre, unit, status and reason of a prior; None for a measure's own parameters, which are listed with the model."""
    found = where(name)
    if found is None:
        return None
    entry = table()[found[0]][found[1]]
    return f"{entry['mean']:g} {entry['unit']} ({entry['status']}): {entry['source']}"
