"""Virtual remitters with every random number of their future drawn beforehand, so that policies are compared on the same people and the same luck."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from remanent._errors import InputError
from remanent.study.crosswalks import HUB, as_hub, crosswalks
from remanent.study.schema import INSTRUMENTS
from remanent.trial.reference import start_sd
from remanent.trial.trajectory import Person, Push, advance

STEP_DAYS = 3.5
SESSIONS, GAP_DAYS = 9, 3.5  # the index course, as in trials.yaml
POOL = 6

SCALE = "hdrs24"

Lane = Float[np.ndarray, " lane"]
Values = Float[np.ndarray, "*shape"]


@dataclass(frozen=True)
class Scale:
    """Severity in the units of dynamics/indicators.py: mean before ECT, spread between patients, fall per unit of function, withdrawal, noise."""

    mu: float
    sd_mu: float
    l_f: float
    l_w: float
    sigma: float


@dataclass(frozen=True)
class Truth:
    """Population parameters on their natural scale; the names are those of `dynamics.model.Params`."""

    k_f: float
    r: float
    c: float
    a: float
    p: float
    sd_p: float
    mu_gs: float
    sd_gs: float
    sd_gf: float
    sig_f: float
    sig_s: float
    omega: float
    tau_w: float
    h0: float
    eta_f: float
    scale: Scale


@dataclass(frozen=True)
class World:
    """Patients on day 0 and all their luck.

    Attributes
    ----------
    f, s, own_mean
        State on day 0 and mean score before ECT, [lane].
    z
        Normals of the diffusion, [step, 2, lane].
    rating
        Normals of the ratings, [visit, lane].
    fate
        Unit exponentials of relapse and dropout, [2, lane].
    lot
        Uniforms of each random assignment, [stage, lane].
    """

    truth: Truth
    person: Person
    f: Lane
    s: Lane
    own_mean: Lane
    z: Float[np.ndarray, "step 2 lane"]
    rating: Float[np.ndarray, "visit lane"]
    fate: Float[np.ndarray, "2 lane"]
    lot: Float[np.ndarray, "stage lane"]

    def again(self, rng: np.random.Generator, times: int) -> "World":
        """The same people `times` over, each with a future of its own: lane k is patient k // times."""
        lanes = np.repeat(np.arange(len(self.f)), times)
        steps, visits, stages = len(self.z), len(self.rating), len(self.lot)
        return World(
            self.truth,
            self.person.of(lanes),
            self.f[lanes],
            self.s[lanes],
            self.own_mean[lanes],
            rng.standard_normal((steps, 2, len(lanes)), np.float32),
            rng.standard_normal((visits, len(lanes)), np.float32),
            rng.exponential(size=(2, len(lanes))),
            rng.random((stages, len(lanes))),
        )


def score(truth: Truth, own_mean: Lane, state: tuple[Lane, Lane], z: Lane) -> Lane:
    """Whole points within the scale at function and withdrawal `state`."""
    (f, w), scale = state, truth.scale
    return rated(own_mean + scale.l_f * f + scale.l_w * w + scale.sigma * z)


def rated(severity: Values) -> Values:
    """Whole points of the 24-item Hamilton scale at a severity in units of half of the 17-item scale's range, by the engine's crosswalk."""
    hub, own, half = _table()
    return np.round(np.interp(half * severity, hub, own))


@cache
def _table() -> tuple[np.ndarray, np.ndarray, float]:
    """Knots of the crosswalk, its last lines carried on to the ends of the scale, and half of the 17-item scale's range."""
    known, limits = crosswalks()[SCALE], INSTRUMENTS[SCALE]
    ends = np.array([limits.minimum, limits.maximum], float)
    low, high = as_hub(ends, known.own, known.hub)
    half = (INSTRUMENTS[HUB].maximum - INSTRUMENTS[HUB].minimum) / 2
    return np.array([low, *known.hub, high]), np.array([ends[0], *known.own, ends[1]]), float(half)


def draw_world(rng: np.random.Generator, truth: Truth, patients: int, plan: dict[str, Any]) -> World:
    """People through an index course of ECT and into the trial on day 0, on the drug from then on.

    `plan`: steps, visits, stages (how much luck to draw) and `entry_at_most`, the highest score with which a patient is let in (None: everybody).

    Raises
    ------
    InputError
        Hardly anybody would be let in.
    """
    n = POOL * patients
    z = rng.standard_normal((6, n))
    person = Person(
        p=truth.p + truth.sd_p * z[0],
        g_f=1.0 + truth.sd_gf * z[1],
        g_s=truth.mu_gs + truth.sd_gs * z[2],
        c=np.full(n, truth.c),
        a=np.full(n, truth.a),
    )
    own_mean = truth.scale.mu + truth.scale.sd_mu * z[3]
    f, s = start_sd() * z[4], start_sd() * z[5]
    off = Push(person.c, np.zeros(n))
    for k in range(SESSIONS):
        f, s = f + person.g_f / SESSIONS, s + person.g_s / SESSIONS
        if k < SESSIONS - 1:
            f, s = advance(truth, person, (f, s), off, GAP_DAYS, rng.standard_normal((2, n)))
    first = score(truth, own_mean, (f, np.zeros(n)), rng.standard_normal(n))
    limit = plan["entry_at_most"]
    let_in = np.flatnonzero(first <= limit) if limit is not None else np.arange(n)
    if len(let_in) < n // 100:
        raise InputError(
            f"{len(let_in)} of {n} virtual patients would be let in with a score of {limit:g} or less",
            where="entry.at_most",
            why="The trial would have nobody in it under these parameters",
            do="Raise entry.at_most, or leave it out.",
        )
    rows = let_in[np.arange(patients) % len(let_in)]
    return World(
        truth,
        person.of(rows),
        f[rows],
        s[rows],
        own_mean[rows],
        rng.standard_normal((plan["steps"], 2, patients)),
        rng.standard_normal((plan["visits"], patients)),
        rng.exponential(size=(2, patients)),
        rng.random((max(1, plan["stages"]), patients)),
    )
