"""Virtual remitters with every random number of their future drawn beforehand, so that policies are compared on the same people and the same luck."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
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
POOL = 6  # people through ECT at a time per patient of the trial
MOST = 1000  # and at most before a trial is refused: fewer than 1 in so many are let in

SCALE = "hdrs24"
_DRAWN = ("p", "g_f", "g_s", "c", "a")  # of a person

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
class Entry:
    """How patients come into a trial.

    Attributes
    ----------
    at_most
        The highest score with which a patient is let in; None: everybody.
    rated_day
        Days from the last session of ECT to that score; it is day 0 of the trial.
    drug_from
        Since when the full dose is taken, in days after the last session (negative: during ECT); -inf: since before the first record.
    """

    at_most: float | None = None
    rated_day: float = 0.0
    drug_from: float = 0.0

    @property
    def held(self) -> float:
        """Exposure at the first record: function 0 is the level under it."""
        return float(np.isneginf(self.drug_from))

    @property
    def sessions(self) -> Lane:
        """Days of the trial on which ECT was given."""
        return np.arange(1 - SESSIONS, 1) * GAP_DAYS - self.rated_day


@dataclass(frozen=True)
class Remitters:
    """Patients who were let in, on day 0, [lane], and the share of the people drawn that was."""

    person: Person
    f: Lane
    s: Lane
    own_mean: Lane
    let_in: float


@dataclass(frozen=True)
class World:
    """Patients on day 0 and all their luck.

    Attributes
    ----------
    entry
        How they came in.
    let_in
        Share of the people drawn who were let in.
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
    entry: Entry
    let_in: float
    person: Person
    f: Lane
    s: Lane
    own_mean: Lane
    z: Float[np.ndarray, "step 2 lane"]
    rating: Float[np.ndarray, "visit lane"]
    fate: Float[np.ndarray, "2 lane"]
    lot: Float[np.ndarray, "stage lane"]

    def push(self, share: Lane) -> Push:
        """What drives everybody on a share of the full dose."""
        return Push(self.person.c + self.person.a * share, self.person.p * (share - self.entry.held))

    def again(self, rng: np.random.Generator, times: int) -> "World":
        """The same people `times` over, each with a future of its own: lane k is patient k // times."""
        lanes = np.repeat(np.arange(len(self.f)), times)
        steps, visits, stages = len(self.z), len(self.rating), len(self.lot)
        return World(
            self.truth,
            self.entry,
            self.let_in,
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

    `plan`: steps, visits, stages (how much luck to draw) and entry.

    Raises
    ------
    InputError
        Hardly anybody would be let in.
    """
    entry: Entry = plan["entry"]
    people = draw_remitters(rng, truth, patients, entry)
    return World(
        truth,
        entry,
        people.let_in,
        people.person,
        people.f,
        people.s,
        people.own_mean,
        rng.standard_normal((plan["steps"], 2, patients)),
        rng.standard_normal((plan["visits"], patients)),
        rng.exponential(size=(2, patients)),
        rng.random((max(1, plan["stages"]), patients)),
    )


def draw_remitters(rng: np.random.Generator, truth: Truth, patients: int, entry: Entry) -> Remitters:
    """People drawn until enough of them are let in, each of them once.

    Raises
    ------
    InputError
        Of MOST people for each patient too few were.
    """
    parts, found, drawn = [], 0, 0
    while found < patients:
        if drawn >= MOST * patients:
            raise InputError(
                f"{found} of {drawn} virtual patients would be let in with a score of {entry.at_most:g} or less",
                where="entry.at_most",
                why=f"fewer than 1 in {MOST}, under these parameters, and nobody is taken twice",
                do="Raise entry.at_most, or let everybody in: entry: {at_most: null}",
            )
        parts.append(_after_ect(rng, truth, POOL * patients, entry))
        found, drawn = found + len(parts[-1].f), drawn + POOL * patients
    person = {name: np.concatenate([getattr(part.person, name) for part in parts]) for name in _DRAWN}
    f, s, own_mean = (np.concatenate([getattr(part, name) for part in parts]) for name in ("f", "s", "own_mean"))
    first = slice(patients)
    chosen = Person(**{name: values[first] for name, values in person.items()})
    return Remitters(chosen, f[first], s[first], own_mean[first], found / drawn)


def _after_ect(rng: np.random.Generator, truth: Truth, n: int, entry: Entry) -> Remitters:
    """`n` people through the index course and up to the rating; those whom it lets in."""
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
    sessions = entry.sessions
    for here, there in pairwise([*sessions, 0.0]):
        f, s = f + person.g_f / SESSIONS, s + person.g_s / SESSIONS
        if there > here:
            share = float(np.clip((there + entry.rated_day - entry.drug_from) / (there - here), 0.0, 1.0))
            push = Push(person.c + person.a * share, person.p * (share - entry.held))
            f, s = advance(truth, person, (f, s), push, there - here, rng.standard_normal((2, n)))
    rated_at = score(truth, own_mean, (f, np.zeros(n)), rng.standard_normal(n))
    rows = np.arange(n) if entry.at_most is None else np.flatnonzero(rated_at <= entry.at_most)
    return Remitters(person.of(rows), f[rows], s[rows], own_mean[rows], len(rows) / n)
