"""Random parameters and random grids: every switch of the filter on somewhere, nothing realistic."""

import jax.numpy as jnp
import numpy as np

from remanent.dynamics.filter import Grid
from remanent.dynamics.model import Params

INDICATORS, PATIENTS, STEPS = 3, 4, 14


def random_params(rng: np.random.Generator, **changes: object) -> Params:
    each = {k: rng.normal(size=INDICATORS) for k in ("mu", "l_f", "l_s", "l_e", "l_w")}
    values = {
        "k_f": 1 / 14, "r": 1 / 90, "c": 0.006, "a": 0.012, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
        "sig_f": 0.05, "sig_s": 0.015, "b": np.array([0.1, -0.2]), "omega": 0.3, "tau_w": 10.0, "tau_e": 60.0, "h0": 0.02,
        "eta_f": 2.0, "sd_mu": rng.uniform(0.2, 1, INDICATORS), "sigma": rng.uniform(0.2, 0.6, INDICATORS), **each,
    }  # fmt: skip
    return Params(**{k: jnp.asarray(v, float) for k, v in {**values, **changes}.items()})


def random_grid(
    rng: np.random.Generator, *, hazard: bool = False, steps: int = STEPS, patients: int = PATIENTS
) -> Grid:
    shape = (steps, patients)
    dt = rng.choice([0.0, 0.3, 1.0, 7.0, 45.0], size=shape)
    dt[0] = 0.0
    relapse = np.zeros(shape)
    relapse[-1] = hazard * (rng.random(patients) < 0.5)
    values = Grid(
        day=np.cumsum(dt, 0),
        dt=dt,
        dose=rng.uniform(0, 1.5, shape),
        held=np.repeat(rng.uniform(0, 1, (1, shape[1])), shape[0], 0),
        lost=rng.uniform(0, 0.3, shape) * (rng.random(shape) < 0.3),
        stress=rng.normal(size=(2, *shape)),
        ect=rng.choice([0, 0.25], size=shape),
        at_risk=hazard * dt / 2,
        relapse=relapse,
        observed=(rng.random(shape) < 0.7).astype(float),
        indicator=rng.integers(0, INDICATORS, shape),
        value=rng.normal(size=shape),
        se2=rng.uniform(0, 0.1, shape),
    )
    return Grid(*map(jnp.asarray, values))


def subdivide(grid: Grid, parts: int) -> Grid:
    """Every interval cut into `parts` equal ones: the same data on a finer grid, for the error of the trapezoid rule of the cumulative hazard."""
    g = Grid(*map(np.asarray, grid))
    risky = g.at_risk > 0
    begun = np.maximum.accumulate(risky, axis=0)
    going = np.maximum.accumulate(risky[::-1], axis=0)[::-1]
    inside = begun & going & np.vstack([np.zeros_like(begun[:1]), begun[:-1]])

    def finer(v: np.ndarray, last: float = 1.0) -> np.ndarray:
        out = np.repeat(np.zeros_like(v), parts, axis=-2)
        out[..., parts - 1 :: parts, :] = last * v
        return out

    spread = {name: np.repeat(getattr(g, name), parts, axis=-2) for name in ("dose", "held", "stress")}
    length = np.repeat(g.dt / parts, parts, axis=0)
    half = np.where(np.repeat(inside, parts, axis=0), length / 2, 0.0)
    at_risk = half + np.vstack([half[1:], np.zeros_like(half[:1])])
    lost = np.repeat(g.lost / parts, parts, axis=0)
    end_of = {
        name: finer(getattr(g, name)) for name in ("day", "ect", "relapse", "observed", "indicator", "value", "se2")
    }
    return Grid(dt=length, at_risk=at_risk, lost=lost, **spread, **end_of)
