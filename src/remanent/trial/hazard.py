"""From relapse by a rule to the hazard that the engine works with: h0 exp(-eta_f f), as Sackeim's rule would show it in the replayed population.

The engine knows no ratings' rule, only a hazard that falls with function. So patients of three arms (no drug, an antidepressant, an antidepressant with
lithium) are replayed at draws of the population, and relapses by the rule are regressed on function: person-weeks with log hazard log h0 - eta_f f, by maximum
likelihood. Each draw has its own (h0, eta_f), so their posterior comes with that of the rest.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from remanent.dynamics.priors import MECHANISMS, table
from remanent.trial.calibrate import BETWEEN, NAMES, OWN, Surface, coordinate, coordinates, population
from remanent.trial.replay import node_weights, replay_states
from remanent.trial.trials import trials

HAZARD = ("h0", "eta_f")
DRAWS, LANES = 100, 60
NEWTON_STEPS = 12
WEEK = 7.0

Pairs = Float[np.ndarray, "draw 2"]


def with_hazard(surface: Surface, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of theta of the shipped coordinates, h0 and eta_f last.

    A new patient comes from a place of his own: the spread between trials is added, of the gain of structure to mu_gs, of the drugs' effect to p, sd_p and a
    together (to first order in drug_sd).
    """
    mechanism = MECHANISMS.index(surface.mechanism)
    theta = surface.resample(np.random.default_rng([seed, mechanism, 7]), DRAWS)
    found = hazards(theta, mechanism, seed)
    entries = [coordinate(table()["dynamics"][name]) for name in HAZARD]
    z = np.stack([(np.log(v) if e.is_log else v) - e.centre for e, v in zip(entries, found.T, strict=True)], axis=1)
    z = z / [e.spread for e in entries]
    # regression of the hazard's coordinates on the population's: their joint law without the noise of a sample covariance
    x = np.column_stack([np.ones(DRAWS), theta])
    slope = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ z)
    rest = np.cov((z - x @ slope).T)
    shipped = np.array([k for k, name in enumerate(NAMES) if name not in OWN])
    mean = np.concatenate([surface.mean[shipped], np.append(1.0, surface.mean) @ slope])
    B = slope[1:]
    across = (surface.cov @ B)[shipped]
    inner = surface.cov[np.ix_(shipped, shipped)].copy()
    for own in between_trials(surface.mean):
        inner += np.outer(own[shipped], own[shipped])
    return mean, np.block([[inner, across], [across.T, B.T @ surface.cov @ B + rest]])


def between_trials(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much one standard deviation of each of a trial's own effects moves theta, [param] each: the gain of structure and the drugs' effect."""
    known, gain, strength = coordinates(), np.zeros(len(NAMES)), np.zeros(len(NAMES))
    trial_sd, drug_sd = (float(known[name].value(theta[NAMES.index(name)])) for name in BETWEEN)
    gain[NAMES.index("mu_gs")] = trial_sd / known["mu_gs"].spread
    p = NAMES.index("p")
    strength[p] = drug_sd * float(known["p"].value(theta[p])) / known["p"].spread
    for name in ("sd_p", "a_ratio"):
        strength[NAMES.index(name)] = drug_sd / known[name].spread
    return gain, strength


def hazards(theta: np.ndarray, mechanism: int, seed: int) -> Pairs:
    """(h0, eta_f) of each draw."""
    sackeim = next(t for t in trials() if t.name == "sackeim2001")
    quiet = replace(sackeim, arms=tuple(replace(arm, dropout_rate=0.0) for arm in sackeim.arms))
    followed = replay_states(quiet, population(theta, mechanism), np.random.default_rng([seed, 3]), LANES)
    lane_weight = np.repeat(node_weights()[:, None], LANES, axis=1)
    return np.array([_regress(followed, k, lane_weight) for k in range(len(theta))])


def _regress(
    followed: list[tuple[np.ndarray, np.ndarray, np.ndarray]], draw: int, lane_weight: np.ndarray
) -> np.ndarray:
    """Poisson regression of relapse on function over the intervals between visits, pooled over arms; a weak pull to the prior keeps it finite."""
    f, events, days, weight = [], [], [], []
    for relapse, visits, function in followed:
        end = np.minimum(relapse[draw], visits[-1])
        for k in range(1, len(visits)):
            at_risk = end > visits[k - 1]
            f.append((function[k - 1, draw] + function[k, draw])[at_risk] / 2)
            events.append((relapse[draw] <= visits[k])[at_risk])
            days.append(np.full(int(at_risk.sum()), visits[k] - visits[k - 1]))
            weight.append(lane_weight[at_risk])
    x = np.concatenate(f)
    X, y = np.column_stack([np.ones(len(x)), -x]), np.concatenate(events).astype(float)
    t, w = np.concatenate(days), np.concatenate(weight)
    prior = np.array([np.log(table()["dynamics"]["h0"]["mean"]), table()["dynamics"]["eta_f"]["mean"]])
    found = prior.copy()
    for _ in range(NEWTON_STEPS):
        rate = t * np.exp(np.clip(X @ found, -30, 5))
        gradient = X.T @ (w * (y - rate)) - 0.1 * (found - prior)
        found = found + np.clip(np.linalg.solve((X * (w * rate)[:, None]).T @ X + 0.1 * np.eye(2), gradient), -1, 1)
    return np.array([np.exp(found[0]), found[1]])
