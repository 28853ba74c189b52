"""Random parameters and random grids: every switch of the filter on somewhere, nothing realistic."""

import jax.numpy as jnp
import numpy as np

from remanent.dynamics.filter import Grid
from remanent.dynamics.model import Params
from remanent.dynamics.steps import PER_SLOT

INDICATORS, PATIENTS, STEPS = 3, 4, 14
CLASSES, PLACEMENTS, COVARIATES, RISKS, LATER = 3, 2, 2, 1, 2


def random_params(rng: np.random.Generator, **changes: object) -> Params:
    each = {k: rng.normal(size=INDICATORS) for k in ("mu", "l_f", "l_s", "l_e", "l_w")}
    values = {
        "k_f": 1 / 14, "r": 1 / 90, "c": 0.006, "a": 0.012, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
        "sig_f": 0.05, "sig_s": 0.015, "b": np.array([0.1, -0.2, 0.15]), "omega": 0.3, "tau_w": 10.0, "tau_e": 60.0, "h0": 0.02,
        "rho": rng.uniform(0.5, 1.5, CLASSES), "alpha": rng.uniform(0.5, 1.5, CLASSES), "ect_f": rng.uniform(0.5, 1.5, PLACEMENTS),
        "ect_s": rng.uniform(0.5, 1.5, PLACEMENTS), "ect_e": rng.uniform(0.5, 1.5, PLACEMENTS), "lam": 0.3, "sd_b": 0.4,
        "set_point": rng.normal(0, 0.3, COVARIATES), "eta_x": rng.normal(0, 0.3, RISKS), "period": rng.uniform(0.4, 0.9, LATER), "hd0": 0.01, "eta_d": 0.7,
        "eta_f": 2.0, "sd_mu": rng.uniform(0.2, 1, INDICATORS), "sigma": rng.uniform(0.2, 0.6, INDICATORS), **each,
    }  # fmt: skip
    return Params(**{k: jnp.asarray(v, float) for k, v in {**values, **changes}.items()})


def random_grid(
    rng: np.random.Generator, *, hazard: bool = False, steps: int = STEPS, patients: int = PATIENTS, slots: int = 1
) -> Grid:
    shape = (steps, patients)
    read = (slots, *shape)
    each = np.broadcast_to(np.arange(INDICATORS)[:, None, None], (INDICATORS, *shape))
    dt = rng.choice([0.0, 0.3, 1.0, 7.0, 45.0], size=shape)
    dt[0] = 0.0
    relapse, dropout = np.zeros(shape), np.zeros(shape)
    relapse[-1] = hazard * (rng.random(patients) < 0.5)
    dropout[-1] = hazard * (1 - relapse[-1]) * (rng.random(patients) < 0.5)
    values = Grid(
        day=np.cumsum(dt, 0),
        dt=dt,
        dose=rng.uniform(0, 0.7, (CLASSES, *shape)),
        held=rng.uniform(0, 0.5, (CLASSES, patients)),
        lost=rng.uniform(0, 0.3, shape) * (rng.random(shape) < 0.3),
        stress=rng.normal(size=(3, *shape)),
        ect=rng.choice([0, 0.25], size=(PLACEMENTS, *shape)),
        at_risk=hazard * dt / 2,
        period=rng.dirichlet(np.ones(LATER + 1), shape).transpose(2, 0, 1)[:LATER],
        relapse=relapse,
        dropout=dropout,
        observed=(rng.random(read) < 0.7).astype(float),
        indicator=np.sort(rng.permuted(each, axis=0)[:slots], 0),
        value=rng.normal(size=read),
        se2=rng.uniform(0, 0.1, read),
        beyond=np.zeros(read),
        tether=rng.normal(size=(COVARIATES, patients)),
        risk=rng.normal(size=(RISKS, patients)),
        reserve=rng.normal(size=patients),
    )
    return Grid(*map(jnp.asarray, values))


def with_ends(grid: Grid, rng: np.random.Generator) -> Grid:
    """The same, a third of the readings being at an end of their scale."""
    return grid._replace(beyond=jnp.asarray(rng.choice([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0], grid.value.shape)))


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

    spread = {name: np.repeat(getattr(g, name), parts, axis=-2) for name in ("dose", "stress", "period")}
    length = np.repeat(g.dt / parts, parts, axis=0)
    half = np.where(np.repeat(inside, parts, axis=0), length / 2, 0.0)
    at_risk = half + np.vstack([half[1:], np.zeros_like(half[:1])])
    lost = np.repeat(g.lost / parts, parts, axis=0)
    end_of = {
        name: finer(getattr(g, name))
        for name in ("day", "ect", "relapse", "dropout", "observed", "indicator", "value", "se2", "beyond")
    }
    people = {name: getattr(g, name) for name in ("held", "tether", "risk", "reserve")}
    return Grid(dt=length, at_risk=at_risk, lost=lost, **spread, **end_of, **people)


def one_by_one(grid: Grid) -> Grid:
    """The same with one reading a step: what else happens at a step happens in the first of those made of it."""
    g = Grid(*map(np.asarray, grid))
    slots, steps, patients = g.value.shape
    first = np.arange(steps * slots) % slots == 0

    def spread(v: np.ndarray) -> np.ndarray:
        return np.where(first[:, None], np.repeat(v, slots, axis=-2), 0)

    read = {name: np.swapaxes(getattr(g, name), 0, 1).reshape(1, steps * slots, patients) for name in PER_SLOT}
    people = {name: getattr(g, name) for name in PER_PATIENT}
    others = {name: spread(v) for name, v in g._asdict().items() if name not in read and name not in people}
    others["day"] = np.repeat(g.day, slots, axis=0)
    return Grid(**read, **people, **others)


PER_PATIENT = ("held", "tether", "risk", "reserve")


def padded_grid(grid: Grid, steps: int, patients: int) -> Grid:
    """The same with that many more steps and patients, every switch off."""
    more = {
        name: [
            *[(0, 0)] * (v.ndim - 1 - (name not in PER_PATIENT)),
            *[(0, steps)] * (name not in PER_PATIENT),
            (0, patients),
        ]
        for name, v in grid._asdict().items()
    }
    return Grid(**{name: jnp.pad(v, more[name]) for name, v in grid._asdict().items()})


def first_steps(grid: Grid, steps: int) -> Grid:
    """The first so many steps."""
    return Grid(**{name: v if name in PER_PATIENT else v[..., :steps, :] for name, v in grid._asdict().items()})
