"""NUTS on the same marginal likelihood: the reference that the Laplace approximation is judged by, and replaces it on request.

The chains run in the coordinates z in which the Laplace approximation is standard normal, theta = mode + L z with L L' its covariance, and start from draws of
it; step size and a diagonal metric adapt during warm-up (NumPyro). Random effects and states stay integrated out, so a chain sees about fifty parameters.
A fit counts as converged only if every parameter's R-hat and effective draws and the number of divergences meet settings.yaml.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.bridge import bridge
from remanent.dynamics.compare import settings
from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood_of_all
from remanent.dynamics.infer import LEAST_WEIGHT, Fit, Posterior, Sampling
from remanent.dynamics.mixing import Chains, bulk_ess, rhat
from remanent.dynamics.pointwise import log_joint
from remanent.dynamics.priors import MECHANISMS, Layout, to_params
from remanent.dynamics.steps import Grid


class Plan(NamedTuple):
    """Chains, their length, threads to run them in, and the target acceptance of the step size."""

    chains: int = 4
    warmup: int = 1000
    draws: int = 1000
    threads: int = 2
    target: float = 0.8


STANDARD = Plan()


class Run(NamedTuple):
    """Draws of theta, [chain, draw, param]; whether each diverged and how many leapfrog steps it took, [chain, draw]."""

    theta: Chains
    diverged: np.ndarray
    leapfrogs: np.ndarray


def sampled(posterior: Posterior, grid: Grid, seed: int, plan: Plan = STANDARD) -> Posterior:
    """The posterior with NUTS in place of the Laplace approximation of every mechanism that carries at least a thousandth of the weight."""
    data = Grid(*map(jnp.asarray, grid))
    evidence = np.array([f.log_evidence for f in posterior.fits])
    carries = evidence - evidence.max() >= np.log(LEAST_WEIGHT)
    return replace(
        posterior,
        fits=tuple(
            sampled_fit(posterior.layout, one, data, seed, plan) if weighs else one
            for one, weighs in zip(posterior.fits, carries, strict=True)
        ),
    )


def sampled_fit(layout: Layout, fit: Fit, grid: Grid, seed: int, plan: Plan = STANDARD) -> Fit:
    """One mechanism's fit with the draws, moments and bridge evidence of its chains, and what they say about themselves."""
    run = run_chains(layout, fit, grid, seed, plan)
    if not np.isfinite(run.theta).all() or np.ptp(run.theta, axis=1).min() == 0:
        return replace(fit, converged=False, message="not converged: a chain of the sampler never moved")
    evidence = bridge(run.theta, log_joint(layout, fit.mechanism, grid), np.random.default_rng(seed))
    found = Sampling(
        rhat=float(rhat(run.theta).max()),
        bulk_ess=float(bulk_ess(run.theta).min()),
        divergences=int(run.diverged.sum()),
        evidence_error=evidence.error,
        laplace_log_evidence=fit.log_evidence,
    )
    draws = run.theta.reshape(-1, layout.size)
    wrong = complaints(found)
    return replace(
        fit,
        cov=np.cov(draws.T),
        log_evidence=evidence.log_evidence,
        converged=not wrong,
        message="not converged: " + "; ".join(wrong) if wrong else "converged",
        draws=draws,
        sampling=found,
    )


def complaints(found: Sampling) -> list[str]:
    """What is wrong with the chains, in words; empty: nothing."""
    limits = {name: entry["value"] for name, entry in settings()["sampling"].items()}
    told = (
        (not found.rhat <= limits["rhat"], f"the chains disagree (R-hat {found.rhat:.3f}, at most {limits['rhat']})"),
        (
            not found.bulk_ess >= limits["bulk_ess"],
            f"they are worth only {found.bulk_ess:.0f} independent draws (at least {limits['bulk_ess']})",
        ),
        (found.divergences > limits["divergences"], f"{found.divergences} transitions diverged"),
        (
            not found.evidence_error <= limits["evidence_error"],
            f"the evidence is known to {found.evidence_error:.2g} nats only (at most {limits['evidence_error']})",
        ),
    )
    return [words for wrong, words in told if wrong]


def run_chains(layout: Layout, fit: Fit, grid: Grid, seed: int, plan: Plan = STANDARD) -> Run:
    """Run the chains of one mechanism, `plan.threads` at a time."""
    program = _program(layout, plan.warmup, plan.draws, plan.target)
    data = Grid(*map(jnp.asarray, grid))
    number = MECHANISMS.index(fit.mechanism)
    root = np.linalg.cholesky(fit.cov)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), number), plan.chains)
    starts = np.random.default_rng([seed, number]).standard_normal((plan.chains, layout.size))
    laplace = (jnp.asarray(fit.mode), jnp.asarray(root))

    def one(chain: int) -> tuple[np.ndarray, ...]:
        found = program(keys[chain], jnp.asarray(starts[chain]), jnp.asarray(layout.acting(number)), data, laplace)
        return tuple(map(np.asarray, found))

    with ThreadPoolExecutor(plan.threads) as pool:
        z, diverged, leapfrogs = map(np.stack, zip(*pool.map(one, range(plan.chains)), strict=True))
    return Run(fit.mode + z @ root.T, diverged, leapfrogs)


@lru_cache(maxsize=8)
def _program(layout: Layout, warmup: int, draws: int, target: float) -> Any:
    """Program of one whole chain in the coordinates of the Laplace approximation (mode, L)."""

    def chain(key: Array, start: Array, switches: Array, grid: Grid, laplace: tuple[Array, Array]) -> tuple[Array, ...]:
        def potential(z: Float[Array, " param"]) -> Array:
            theta = laplace[0] + laplace[1] @ z
            return 0.5 * (theta**2).sum() - log_likelihood_of_all(to_params(theta, layout, switches), grid, layout.form)

        return nuts(potential, key, start, (warmup, draws, target))

    return compiled(chain)


def nuts(
    potential: Callable[[Array], Array], key: Array, start: Array, run: tuple[int, int, float]
) -> tuple[Array, Array, Array]:
    """One chain: z [draw, param], divergence and leapfrog steps [draw]; `run`: warm-up, draws, target acceptance. For use inside a compiled program.

    NumPyro is imported only here: `remanent --help` and a Laplace fit do without.
    """
    from numpyro.infer.hmc import hmc

    warmup, draws, target = run
    begin, step = hmc(potential, algo="NUTS")
    state = begin(start, num_warmup=warmup, rng_key=key, target_accept_prob=target)

    def body(state: Any, _: None) -> tuple[Any, tuple[Array, Array, Array]]:
        state = step(state)
        return state, (state.z, state.diverging, state.num_steps)

    _, (z, diverging, steps) = jax.lax.scan(body, state, None, length=warmup + draws)
    return z[warmup:], diverging[warmup:], steps[warmup:]
