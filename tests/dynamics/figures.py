"""The figures of docs/validation/engine.md: each function returns numbers, tests judge them, tools/validate_engine.py prints them."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import calibration
import evidence
import jax
import jax.numpy as jnp
import joint_model
import numpy as np
import peer
from designs import first_steps, subdivide
from oracles import twin
from sampling import by_importance, by_particles
from scipy.optimize import minimize
from synthetic import Cohort, simulate_cohort, true_params

from remanent.dynamics import sample
from remanent.dynamics.compile import compiled
from remanent.dynamics.design import Design
from remanent.dynamics.filter import last_state, log_likelihood, log_likelihood_of_all, replicate
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior, fit, fit_one, hessian_of
from remanent.dynamics.leave_out import LeftOut, leave_out
from remanent.dynamics.mixing import bulk_ess, rhat
from remanent.dynamics.model import Params
from remanent.dynamics.pointwise import log_joint
from remanent.dynamics.priors import MECHANISMS, Layout, layout, to_params
from remanent.dynamics.steps import Grid, without_patients

Figures = dict[str, float]
# h0 (1/day) and eta_f: mild, the simulator's own, mostly censored, and the steepest the priors make likely.
HAZARDS: tuple[Mapping[str, float], ...] = (
    {"h0": 0.02, "eta_f": 1.0},
    {"h0": 0.02, "eta_f": 2.0},
    {"h0": 0.004, "eta_f": 2.0},
    {"h0": 0.05, "eta_f": 3.0},
)


def known_cohort(hazard: Mapping[str, float], seed: int = 2) -> tuple[Cohort, Params, Grid]:
    """Sixteen patients, the parameters that made them, and their grid."""
    cohort = simulate_cohort(np.random.default_rng(seed), 16, truth=dict(hazard))
    return cohort, true_params(cohort, **hazard), Grid(*map(jnp.asarray, cohort.timeline.grid))


def _alone(cohort: Cohort, i: int) -> Grid:
    """All lanes, without the padded steps of lane i."""
    return first_steps(cohort.timeline.grid, int(cohort.timeline.steps[i]))


def hazard_against_importance(hazard: Mapping[str, float], patients: int, draws: int) -> Figures:
    """Assumed density against importance sampling from the exact law of f given the observations."""
    cohort, params, grid = known_cohort(hazard)
    log_lik, last = (
        np.asarray(compiled(log_likelihood)(params, grid)),
        jax.tree.map(np.asarray, compiled(last_state)(params, grid)),
    )
    rng = np.random.default_rng(0)
    gap, moments, error = [], [], []
    for i in range(patients):
        exact = by_importance(params, _alone(cohort, i), i, draws, rng)
        gap.append(log_lik[i] - exact.log_lik)
        error.append(exact.error)
        moments += [last.mean[:2, i] - exact.mean, np.sqrt(np.diag(last.cov[:2, :2, i])) - exact.sd]
    return {
        "relapses": float(np.asarray(grid.relapse)[:, :patients].sum()),
        "mean |gap| (nats)": float(np.abs(gap).mean()),
        "largest |gap| (nats)": float(np.abs(gap).max()),
        "Monte Carlo error (nats)": float(np.mean(error)),
        "largest gap of a moment": float(np.abs(moments).max()),
    }


def hazard_against_particles(hazard: Mapping[str, float], patients: int, particles: int, runs: int) -> Figures:
    """Assumed density against a bootstrap particle filter over all states: log likelihood, and moments after every step."""
    cohort, params, grid = known_cohort(hazard)
    log_lik, rng = np.asarray(compiled(log_likelihood)(params, grid)), np.random.default_rng(0)
    gap, spread, moments = [], [], []
    for i in range(patients):
        found = [by_particles(params, _alone(cohort, i), i, particles, rng) for _ in range(runs)]
        path, each = twin(params, _alone(cohort, i), i), np.array([f.log_lik for f in found])
        gap.append(log_lik[i] - np.logaddexp.reduce(each) + np.log(runs))
        spread.append(each.std(ddof=1))
        moments.append(np.mean([f.mean for f in found], axis=0) - path.path_mean)
        moments.append(np.mean([f.sd for f in found], axis=0) - path.path_sd)
    return {
        "mean gap (nats)": float(np.mean(gap)),
        "mean |gap| (nats)": float(np.abs(gap).mean()),
        "sd of one run's log likelihood (nats)": float(np.mean(spread)),
        "root mean square gap of a moment": float(np.sqrt(np.mean(np.concatenate(moments) ** 2))),
        "largest gap of a moment": float(np.abs(np.concatenate(moments)).max()),
    }


def hazard_grid_error(hazard: Mapping[str, float], parts: int = 8) -> Figures:
    """Trapezoid rule on our steps (a week at most) against steps an eighth as long."""
    _, params, grid = known_cohort(hazard)
    finer = Grid(*map(jnp.asarray, subdivide(grid, parts)))
    gap = np.asarray(compiled(log_likelihood)(params, grid)) - np.asarray(compiled(log_likelihood)(params, finer))
    return {"total gap (nats)": float(gap.sum()), "largest |gap| of a patient (nats)": float(np.abs(gap).max())}


def laplace_against_importance(patients: int, draws: int) -> Figures:
    """Laplace evidence of each mechanism against importance sampling, on one simulated cohort with tapers."""
    cohort = simulate_cohort(np.random.default_rng(5), patients)
    posterior, out = fit(cohort.layout, cohort.timeline.grid), {}
    for one in posterior.fits:
        target = log_joint(cohort.layout, one.mechanism, cohort.timeline.grid)
        found = evidence.by_importance(target, one, draws, np.random.default_rng(0))
        out |= {
            f"{one.mechanism}: Laplace (nats)": one.log_evidence,
            f"{one.mechanism}: Laplace minus sampled (nats)": one.log_evidence - found.log_evidence,
            f"{one.mechanism}: Monte Carlo error (nats)": found.error,
            f"{one.mechanism}: effective draws": found.effective,
            f"{one.mechanism}: Pareto k": found.pareto_k,
        }
    return out


def laplace_against_sampling(patients: int, plan: sample.Plan) -> Figures:
    """Laplace moments and evidence of each mechanism against NUTS and bridge sampling, on one simulated cohort with tapers."""
    cohort = simulate_cohort(np.random.default_rng(5), patients)
    grid, out = cohort.timeline.grid, {}
    for one in fit(cohort.layout, grid).fits:
        begun = time.perf_counter()
        exact = sample.sampled_fit(cohort.layout, one, grid, 0, plan)
        mean, sd = exact.draws.mean(0), np.sqrt(np.diag(exact.cov))
        ratio = np.sqrt(np.diag(one.cov)) / sd
        out |= {
            f"{one.mechanism}: R-hat": exact.sampling.rhat,
            f"{one.mechanism}: least bulk effective draws": exact.sampling.bulk_ess,
            f"{one.mechanism}: divergences": float(exact.sampling.divergences),
            f"{one.mechanism}: seconds": time.perf_counter() - begun,
            f"{one.mechanism}: bridge (nats)": exact.log_evidence,
            f"{one.mechanism}: Monte Carlo error (nats)": exact.sampling.evidence_error,
            f"{one.mechanism}: Laplace minus bridge (nats)": one.log_evidence - exact.log_evidence,
            f"{one.mechanism}: largest gap of a mean (posterior sd)": float(np.abs((one.mode - mean) / sd).max()),
            f"{one.mechanism}: least sd ratio": float(ratio.min()),
            f"{one.mechanism}: largest sd ratio": float(ratio.max()),
        }
    return out


def refit_score(posterior: Posterior, grid: Grid, mechanism: int, lane: int) -> float:
    """Log evidence of all patients less that of all but one, by fitting again without that one (nats)."""
    others = without_patients(grid, (np.arange(grid.dt.shape[1]) != lane) * 1.0)
    mine = posterior.fits[mechanism]
    again = fit_one(posterior.layout, Grid(*map(jnp.asarray, others)), mechanism, mine.mode)
    assert again.converged
    return mine.log_evidence - again.log_evidence


def best_score(posterior: Posterior, grid: Grid, lanes: int) -> tuple[int, LeftOut]:
    """The mechanism with the most evidence, and its score of patients left out."""
    best = int(np.argmax([one.log_evidence for one in posterior.fits]))
    return best, leave_out(posterior, grid, lanes)[best]


def scores_against_refits(patients: int, seed: int = 0) -> Figures:
    """Score of every patient left out against refitting, of those to be trusted and of the others (nats)."""
    cohort = simulate_cohort(np.random.default_rng([seed, patients]), patients)
    grid = cohort.timeline.grid
    posterior = fit(cohort.layout, grid)
    best, found = best_score(posterior, grid, patients)
    gap = found.elpd - np.array([refit_score(posterior, grid, best, lane) for lane in range(patients)])
    out: Figures = {}
    for name, mine in (("trusted", found.doubt <= found.most), ("not trusted", found.doubt > found.most)):
        out[f"patients {name}"] = float(mine.sum())
        if mine.any():
            out[f"mean gap, {name}"], out[f"mean |gap|, {name}"] = gap[mine].mean(), abs(gap[mine]).mean()
            out[f"largest |gap|, {name}"] = abs(gap[mine]).max()
    return out


def _milliseconds(program: Callable, *arguments: object, rounds: int = 7) -> float:
    """Least of several blocked runs, after one that compiles."""
    jax.block_until_ready(program(*arguments))
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(time.perf_counter() - begun)
    return 1e3 * min(times)


def speed(sizes: tuple[int, ...] = (200, 1000, 10_000), patients: int = 200) -> Figures:
    """Value and gradient by number of patients, 12 visits x 8 indicators; then other cases and the textbook with so many patients."""

    def gradient_of(total: Callable) -> Callable:
        return compiled(jax.value_and_grad(total))

    program, out = gradient_of(log_likelihood_of_all), {}
    for n in sizes:
        params, grid = peer.random_study(n, np.random.default_rng(0))
        out[f"{n} patients, value and gradient (ms)"] = _milliseconds(program, params, grid, rounds=3)
    params, grid = peer.random_study(patients, np.random.default_rng(0))
    linear = peer.without_hazard(grid)
    out["value alone (ms)"] = _milliseconds(compiled(log_likelihood), params, grid)
    without_levels = params._replace(sd_mu=jnp.zeros(0))
    out["4 random effects, value and gradient (ms)"] = _milliseconds(program, without_levels, grid)
    out["4 random effects, value alone (ms)"] = _milliseconds(compiled(log_likelihood), without_levels, grid)
    bent = without_levels._replace(theta=jnp.asarray(0.4), sd_theta=jnp.asarray(0.15))
    often = peer.random_study(patients, np.random.default_rng(0), visits=60, slots=1)[1]
    two_basin = gradient_of(lambda params, grid: log_likelihood_of_all(params, grid, "two-basin"))
    out["two-basin, 60 events, value and gradient (ms)"] = _milliseconds(two_basin, bent, often)
    out["without relapse (ms)"] = _milliseconds(program, params, linear)
    out["textbook, without relapse (ms)"] = _milliseconds(
        gradient_of(lambda *given: peer.textbook(*given).sum()), params, linear, rounds=3
    )
    one = peer.random_study(1, np.random.default_rng(1))
    out["one patient's new state (ms)"] = _milliseconds(compiled(last_state), *one)
    return out


def speed_of_fits(patients: int, seed: int = 0) -> Figures:
    """Seconds of MAP + Laplace of all four mechanisms, compilation included and again without it, on simulated data of the design that `speed` times."""
    coordinates, grid = _fitted_design(patients, np.random.default_rng(seed), levels=True)
    out = {}
    for name in ("cold", "warm"):
        begun = time.perf_counter()
        found = fit(coordinates, grid)
        out[f"four mechanisms, {name} (s)"] = time.perf_counter() - begun
    out["converged (share)"] = float(np.mean([f.converged for f in found.fits]))
    out["parameters"] = float(coordinates.size)
    return out


def speed_of_sampling(patients: int, plan: sample.Plan, seed: int = 0) -> Figures:
    """Seconds of NUTS, compilation included, on the design that `speed` times, with 4 random effects: nobody has a level of an indicator's own."""
    coordinates, grid = _fitted_design(patients, np.random.default_rng(seed), levels=False)
    dual, data = jnp.asarray(coordinates.acting(MECHANISMS.index("dual"))), Grid(*map(jnp.asarray, grid))

    def potential(theta: jax.Array, data: Grid) -> jax.Array:
        params = to_params(theta, coordinates, dual)._replace(sd_mu=jnp.zeros(0))
        return 0.5 * (theta**2).sum() - log_likelihood_of_all(params, data)

    both = compiled(jax.value_and_grad(potential))

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = both(jnp.asarray(theta), data)
        return float(value), np.asarray(gradient)

    mode = minimize(value_and_gradient, np.zeros(coordinates.size), jac=True, method="L-BFGS-B").x
    root = np.linalg.cholesky(np.linalg.inv(hessian_of(value_and_gradient, mode)))

    def chain(key: jax.Array, start: jax.Array, data: Grid) -> tuple[jax.Array, ...]:
        return sample.nuts(
            lambda z: potential(mode + root @ z, data), key, start, (plan.warmup, plan.draws, plan.target)
        )

    program, keys = compiled(chain), jax.random.split(jax.random.key(seed), plan.chains)
    starts = np.random.default_rng(seed).standard_normal((plan.chains, mode.size))
    begun = time.perf_counter()
    with ThreadPoolExecutor(plan.threads) as pool:
        found = pool.map(
            lambda c: tuple(map(np.asarray, program(keys[c], jnp.asarray(starts[c]), data))), range(plan.chains)
        )
        z, diverged, leapfrogs = map(np.stack, zip(*found, strict=True))
    return {
        "seconds, compilation included": time.perf_counter() - begun,
        "R-hat": float(rhat(z).max()),
        "least bulk effective draws": float(bulk_ess(z).min()),
        "divergences": float(diverged.sum()),
        "leapfrog steps a draw": float(leapfrogs.mean()),
    }


def _fitted_design(patients: int, rng: np.random.Generator, *, levels: bool) -> tuple[Layout, Grid]:
    """Coordinates for the design of `speed`, and data drawn from it, with or without levels of the patients' own."""
    params, design = peer.random_study(patients, rng)
    params = params if levels else params._replace(sd_mu=jnp.zeros(0))
    each = np.ones(peer.INDICATORS)
    loads = np.tile([True, True, False, False], (peer.INDICATORS, 1))
    measures = Indicators(tuple(f"measure_{j}" for j in range(peer.INDICATORS)), each == 0, 0 * each, each, loads)
    one = ((1.0,), ("RUL",), (1.0,), (), (), ())
    coordinates = layout(Design(measures, np.nan, np.nan, ("snri",), *one, dropout=False))
    grid = Grid(*map(np.asarray, compiled(replicate)(rng.standard_normal(design.value.shape), params, design)))
    return coordinates, grid._replace(at_risk=np.asarray(design.at_risk))


def joint_models(path: Path) -> dict[str, Figures]:
    """The PBC data by the filter and by the exact likelihood, with the time of each cold fit, and the filter's error at the exact estimate."""
    data, out, x = joint_model.pbc2(path), {}, {}
    for name, likelihood in (("filter", joint_model.by_filter), ("exact", joint_model.by_quadrature)):
        begun = time.perf_counter()
        out[name], x = joint_model.fit(likelihood, data)
        out[name]["seconds, compilation included"] = time.perf_counter() - begun
    gap = np.asarray(joint_model.by_filter(x, data) - joint_model.by_quadrature(x, data))
    out["filter minus exact, log likelihood"] = {
        "total": float(gap.sum()),
        "mean |gap| of a patient": float(np.abs(gap).mean()),
        "99 % of patients below": float(np.quantile(np.abs(gap), 0.99)),
        "largest": float(np.abs(gap).max()),
    }
    return out


def calibration_of_parameters(replicates: int, patients: int) -> dict[str, Figures]:
    """Simulation-based calibration of the Laplace approximation and of the exact posterior (Hamiltonian Monte Carlo) in the linear form."""
    cohort = simulate_cohort(np.random.default_rng(3), patients, events=False)
    found = calibration.calibrate(cohort, replicates, seed=0)
    informed = np.median(found.sd, axis=0) < 0.9
    out = {
        "fits": {
            "replicates": float(replicates),
            "modes found (share)": float(found.converged.mean()),
            "moves accepted, least of a replicate (share)": float(found.accepted.min()),
            "parameters": float(informed.size),
            "of which informed (posterior sd < 0.9 prior)": float(informed.sum()),
        }
    }
    for name, rank in (("Laplace", found.laplace), ("exact posterior", found.exact)):
        p = calibration.p_values(rank)
        out[name] = {
            f"{100 * level:.0f} % intervals cover{words}": float(calibration.coverage(rank, level)[rows].mean())
            for level in (0.5, 0.9)
            for words, rows in (("", slice(None)), (", informed", informed))
        } | {
            "least p value of uniform ranks": float(p.min()),
            "parameters with p < 0.01": float((p < 0.01).sum()),
            "expected of uniform ranks": 0.01 * p.size,
        }
    return out
