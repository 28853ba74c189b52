"""What the engine makes of cohorts whose truth is known: mechanism by design, withdrawal symptoms alone, an imaging trace of ECT alone."""

from collections.abc import Iterable
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import synthetic
from scipy.optimize import minimize
from synthetic import Cohort, simulate_cohort

from remanent.dynamics.compare import _simulated, _typical_effects, compare
from remanent.dynamics.grid import look_ahead
from remanent.dynamics.infer import by_lane, fit
from remanent.dynamics.priors import MECHANISMS, SWITCHES, Layout
from remanent.dynamics.states import posterior_states
from remanent.dynamics.steps import Grid
from remanent.relapse.predict import EDGES_DAYS, posterior_ensemble, relapse_probability, roll
from remanent.treatment.drugs import CLASSES

Figures = dict[str, float]
SCANS = {3: synthetic.SCANS[[0, 1, 4]], 7: np.array([-24.0, 6, 60, 120, 180, 240, 330])}


def of_mechanism(truth: str) -> dict[str, float]:
    """The simulator's gains under a mechanism."""
    return {
        "p": synthetic.TRUTH["p"] * (truth in {"passive", "dual"}),
        "a": synthetic.TRUTH["a"] * (truth in {"active", "dual"}),
    }


def confusion(patients: int, scans: int, *, tapers: bool, cohorts: int, seed: int = 0) -> dict[str, Figures]:
    """Rows: true mechanism; columns: share of cohorts in which each mechanism is the most probable, evidence for each effect, what is reported."""
    out = {}
    for truth in MECHANISMS:
        found = []
        for k in range(cohorts):
            cohort = simulate_cohort(
                np.random.default_rng([seed, k]), patients, tapers=tapers, scans=SCANS[scans], truth=of_mechanism(truth)
            )
            found.append(compare(fit(cohort.layout, cohort.timeline.grid), cohort.timeline.grid, patients, seed=seed))
        best = [MECHANISMS[int(c.evidence_weight.argmax())] for c in found]
        out[truth] = (
            {f"called {m}": float(np.mean([b == m for b in best])) for m in MECHANISMS}
            | {
                f"evidence, {e}": float(np.mean([c.evidence_weight @ SWITCHES[:, j] for c in found]))
                for j, e in _EFFECTS
            }
            | {f"reported, {e}": float(np.mean([c.effect[j] for c in found])) for j, e in _EFFECTS}
            | {f"answerable, {e}": float(np.mean([c.identifiability.cohort[j] for c in found])) for j, e in _EFFECTS}
        )
    return out


_EFFECTS = ((0, "passive"), (1, "active"))


def mimicked(patients: int, scans: int, seed: int = 0) -> Figures:
    """Passive fitted to what dual is expected to show, all else being as in the mode of a simulated dual cohort: what is left to tell them apart by.

    Expected log likelihoods are means over copies of the cohort's design; the search is for the most likely parameters under a prior three times as wide.
    """
    cohort = simulate_cohort(np.random.default_rng([seed, 0]), patients, scans=SCANS[scans], truth=of_mechanism("dual"))
    grid, layout = cohort.timeline.grid, cohort.layout
    posterior = fit(layout, grid)
    dual, passive = MECHANISMS.index("dual"), MECHANISMS.index("passive")
    theta = _typical_effects(posterior)[dual]
    acting = [layout.acting(m) for m in (passive, dual)]
    data = _simulated(layout, np.random.default_rng(seed), (theta, acting[1]), grid, -(-320 // grid.dt.shape[1]))
    truth, rival = (_most_likely(layout, theta, switches, data) for switches in acting[::-1])
    held = [_expected(layout, theta, switches, data)[0] for switches in acting]
    moved = (rival[1] - theta)[layout.index("c_ratio")]
    return {
        "nats for dual, every parameter held": held[1] - held[0],
        "nats for dual, parameters free in both": truth[0] - rival[0],
        "shift of consolidation without the drug (prior sd)": float(moved),
    }


def _expected(layout: Layout, theta: np.ndarray, switches: np.ndarray, data: list[Grid]) -> tuple:
    """Expected log likelihood of the cohort, its gradient, and the outer product of the patients' scores."""
    found = [by_lane(layout)(jnp.asarray(theta), jnp.asarray(switches), one) for one in data]
    scores = [np.asarray(s) for _, s in found]
    value = np.mean([float(v.sum()) for v, _ in found])
    return value, np.mean([s.sum(1) for s in scores], axis=0), np.mean([s @ s.T for s in scores], axis=0)


def _most_likely(layout: Layout, start: np.ndarray, switches: np.ndarray, data: list[Grid]) -> tuple:
    """(expected log likelihood, theta) at its maximum under a wide prior."""
    weak = 1 / 9

    @lru_cache(maxsize=64)
    def at(key: bytes) -> tuple:
        theta = np.frombuffer(key)
        value, slope, curvature = _expected(layout, theta, switches, data)
        pull = weak * theta
        return -value + theta @ pull / 2, pull - slope, curvature + weak * np.eye(theta.size), value

    parts = [lambda theta, k=k: at(theta.tobytes())[k] for k in range(3)]
    options = {"initial_trust_radius": 3.0, "max_trust_radius": 20.0, "maxiter": 30, "gtol": 0.05}
    found = minimize(parts[0], start, jac=parts[1], hess=parts[2], method="trust-exact", options=options)
    return at(found.x.tobytes())[3], found.x


def _relapse(cohort: Cohort, patients: int) -> np.ndarray:
    """Probability of relapse within 182 days without the drug, [patient]."""
    grid, line = cohort.timeline.grid, cohort.timeline
    posterior = fit(cohort.layout, grid)
    weight = np.repeat(compare(posterior, grid, patients, seed=0).evidence_weight[None], patients, 0)
    ensemble = posterior_ensemble(posterior, grid, weight, 120, np.random.default_rng(0))
    nothing = np.zeros((len(CLASSES), len(EDGES_DAYS) - 1, patients))
    row = int(np.searchsorted(EDGES_DAYS[1:], 182.0))
    return relapse_probability(ensemble, roll(ensemble, look_ahead(line, nothing, EDGES_DAYS))).mean[row]


def withdrawal_alone(patients: int, cohorts: Iterable[int]) -> Figures:
    """The same natural cohorts with and without withdrawal symptoms (omega 0.4 of a severe score, 10 days), on record up to the first rating after the taper.

    Function is the same in both: a forecast that rises has taken withdrawal for relapse. The hazard is a fifth of the usual one: most must still be well then.
    """
    rise = []
    for seed in cohorts:
        with_, without = (
            simulate_cohort(
                np.random.default_rng(seed),
                patients,
                withdrawal=size,
                last_day=synthetic.after_taper(patients),
                truth=of_mechanism("natural") | {"h0": 0.004},
            )
            for size in (0.4, 0.0)
        )
        tapered = (np.arange(patients) % 3 > 0) & ~with_.panel.relapsed
        rise.append((_relapse(with_, patients) - _relapse(without, patients))[tapered].mean())
    return {"mean rise of the probability of relapse": float(np.mean(rise)), "largest of a cohort": float(np.max(rise))}


def trace_alone(patients: int, cohorts: Iterable[int]) -> Figures:
    """Only a volume is scanned, and it follows ECT's fading trace and nothing else: how far does structure move from what it is without scans?"""
    shift = []
    for seed in cohorts:
        cohort = simulate_cohort(np.random.default_rng(seed), patients, features=synthetic.TRACE_ONLY)
        grid = cohort.timeline.grid
        scan = ~cohort.indicators.is_symptom[grid.indicator]
        without = grid._replace(observed=np.where(scan, 0.0, grid.observed))
        means = []
        for g in (grid, without):
            posterior = fit(cohort.layout, g)
            weight = compare(posterior, g, patients, seed=0).evidence_weight
            means.append(posterior_states(posterior, g, weight, 25, np.random.default_rng(0)).smoothed.s_mean)
        real = np.isfinite(grid.day) & (np.arange(grid.dt.shape[1]) < patients)
        shift.append(float((means[0] - means[1])[real].mean()))
    return {"mean shift of structure": float(np.mean(shift)), "largest of a cohort": float(np.abs(shift).max())}
