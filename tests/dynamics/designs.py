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
