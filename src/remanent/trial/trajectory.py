"""The equations of `remanent.dynamics.model`, integrated step by step in NumPy.

A second derivation: it shares neither the filter nor the closed-form transition.

    df = -k_f (f - s - p P(t) + q b·u + talk) dt + sig_f dW       P: exposure beyond the start's, each class by its own multiple
    ds = [(c + a A(t)) (f - s) - r g(s)] dt + sig_s dW           A: exposure, each class by its own multiple
    g(s) = s - level   or, with a tipping point theta,   g(s) = s (s - theta) (s - 1)
    dw = -w / tau_w dt + omega sum_k max(-dD_k, 0),   de = -e / tau_e dt       D_k: exposure to class k; one begun makes up for none stopped
    each session: f += share_f g_f,  s += share_s g_s,  e += share_e       shares of the index course, by placement; later sessions too

Each step is a Strang splitting: drift over half a step (second-order Runge-Kutta), diffusion, drift over the other half; then the jumps of ECT. Mean and
covariance are right to the order of (rate x step)²: 1e-5 at a quarter of a day, 2e-4 at a day (tested against the matrix exponential).
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from remanent.dynamics.model import Params

Days = Float[np.ndarray, " step"]
Lane = Float[np.ndarray, "*lane"]  # a patient, or one simulated future of a patient
Normals = Float[np.ndarray, "2 *lane"]
Steps = Float[np.ndarray, "step lane"]
Stress = Float[np.ndarray, "stressor step lane"]


@dataclass(frozen=True)
class Person:
    """What differs between patients, [lane].

    Attributes
    ----------
    p, g_f, g_s
        Passive gain, gain of function and of structure over the index course.
    c, a
        The rates that a mechanism switches.
    q
        Sensitivity to stressors, as a multiple of the population's `b`; smaller with more reserve.
    level
        Level to which structure is pulled back, moved by polygenic score and diagnosis.
    theta
        Tipping point of the form with two basins; None: the linear form.
    """

    p: Lane
    g_f: Lane
    g_s: Lane
    c: Lane
    a: Lane
    q: Lane | float = 1.0
    level: Lane | float = 0.0
    theta: Lane | None = None

    def of(self, lanes: np.ndarray) -> "Person":
        """The same for chosen lanes, in their order."""
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return Person(**{k: v[lanes] if isinstance(v, np.ndarray) else v for k, v in parts.items()})


@dataclass(frozen=True)
class Forcing:
    """What acts on the patients from one grid day to the next.

    Attributes
    ----------
    days
        Grid, [step].
    exposure
        Total exposure at each grid day, [step, lane].
    stress
        Each stressor at each grid day, [stressor, step, lane] (or broadcastable to it).
    ect
        Share of the index course given on each grid day, [step, lane] (or broadcastable).
    start_day
        Before it nothing moves, [lane].
    held
        Exposure at the start of the record, as `passive` counts it: function 0 is the level under it, [lane].
    passive, active
        Exposure as the passive and the active gain count it, each class by its own multiple, [step, lane]; None: all classes alike.
    lost
        Exposure lost up to each grid day since the one before, every class by itself, [step, lane]; None: one class, the falls of `exposure`.
    talk
        What psychotherapy takes from function's target (negative: it helps), [step, lane].
    ect_f, ect_s, ect_e
        Share of the index course by what it does to f, s and e, [step, lane]; None: as `ect`.
    """

    days: Days
    exposure: Steps
    stress: Stress
    ect: Steps
    start_day: Lane
    held: Lane | float = 0.0
    passive: Steps | None = None
    active: Steps | None = None
    lost: Steps | None = None
    talk: Steps | float = 0.0
    ect_f: Steps | None = None
    ect_s: Steps | None = None
    ect_e: Steps | None = None

    def sessions(self) -> tuple[Steps, Steps, Steps]:
        """What ECT adds to f, s and e at each grid day, [step, lane], per unit of the patient's gain."""
        shares = (self.ect if one is None else one for one in (self.ect_f, self.ect_s, self.ect_e))
        f, s, e = (np.broadcast_to(one, self.exposure.shape) for one in shares)
        return f, s, e

    def falls(self) -> Steps:
        """Exposure lost up to each grid day since the one before, [step, lane]."""
        if self.lost is not None:
            return self.lost
        return np.maximum(-np.diff(self.exposure, axis=0, prepend=self.exposure[:1]), 0.0)


@dataclass(frozen=True)
class State:
    """Function, structure, withdrawal and ECT trace, each [lane]."""

    f: Lane
    s: Lane
    w: Lane
    e: Lane


@dataclass(frozen=True)
class Course:
    """The path of each lane at the grid days, [step, lane], and the cumulative hazard of relapse since day 0; `hazard_of` gives that of another event."""

    days: Days
    f: Steps
    s: Steps
    w: Steps
    e: Steps
    cumulative_hazard: Steps

    def at(self, day: float, lane: int) -> State:
        """State of one lane on a grid day."""
        k = int(np.searchsorted(self.days, day - 1e-9))
        return State(self.f[k, lane], self.s[k, lane], self.w[k, lane], self.e[k, lane])


def integrate(rng: np.random.Generator, params: Params, person: Person, forcing: Forcing, start: State) -> Course:
    """One path per lane, from the state `start` on each lane's start day; the equations stand at the head of this file."""
    steps, lanes = forcing.exposure.shape
    paths = np.empty((4, steps, lanes))
    f, s, w, e = (np.broadcast_to(x, lanes).astype(float) for x in (start.f, start.s, start.w, start.e))
    ect_f, ect_s, ect_e = forcing.sessions()
    passive = forcing.exposure if forcing.passive is None else forcing.passive
    active = forcing.exposure if forcing.active is None else forcing.active
    falls = forcing.falls()
    strain = np.tensordot(_value(params.b)[: len(forcing.stress)], forcing.stress, axes=1)
    input_ = person.p * (passive - forcing.held) - person.q * strain - forcing.talk
    kappa = person.c + person.a * active
    f, s, e = f + person.g_f * ect_f[0], s + person.g_s * ect_s[0], e + ect_e[0]
    paths[:, 0] = f, s, w, e
    for k in range(1, steps):
        h = np.where(forcing.days[k - 1] >= forcing.start_day - 1e-9, forcing.days[k] - forcing.days[k - 1], 0.0)
        push = Push((kappa[k - 1] + kappa[k]) / 2, (input_[k - 1] + input_[k]) / 2)
        f, s = advance(params, person, (f, s), push, h, rng.standard_normal((2, lanes)))
        half = np.exp(-h / (2 * _value(params.tau_w)))
        w = (w * half + params.omega * falls[k] * (h > 0)) * half
        e = e * np.exp(-h / params.tau_e) + ect_e[k]
        f, s = f + person.g_f * ect_f[k], s + person.g_s * ect_s[k]
        paths[:, k] = f, s, w, e
    f_path, s_path, w_path, e_path = paths
    return Course(forcing.days, f_path, s_path, w_path, e_path, cumulative_hazard(forcing.days, f_path, params))


def cumulative_hazard(days: Days, f: Steps, params: Params) -> Steps:
    """Integral of h0 exp(-eta_f f) from day 0 to each grid day, [step, lane], by the trapezoid rule; grid days before 0 count nothing."""
    return hazard_of(days, f, (params.h0, params.eta_f))


def hazard_of(days: Days, f: Steps, law: tuple[Any, Any]) -> Steps:
    """Integral of h exp(-eta f) from day 0 on for any event's (h, eta), scalars or [lane]: relapse, or dropout that competes with it."""
    hazard = law[0] * np.exp(-_value(law[1]) * f)
    pieces = np.diff(days)[:, None] * (hazard[1:] + hazard[:-1]) / 2 * (days[:-1, None] >= -1e-9)
    return np.concatenate([np.zeros((1, f.shape[1])), np.cumsum(pieces, axis=0)])


def relapse_days(course: Course, exponential: Lane) -> Lane:
    """Day of relapse of each lane by its unit exponential variate, [lane]; inf if not within the grid."""
    return event_days(course.days, course.cumulative_hazard, exponential)


def event_days(days: Days, cumulative: Steps, exponential: Lane | float) -> Lane:
    """Day on which a cumulative hazard passes each lane's unit exponential variate (inversion), [lane]; inf if not within the grid."""
    passed = cumulative >= exponential
    k = passed.argmax(axis=0)
    lane = np.arange(len(k))
    before, after = cumulative[k - 1, lane], cumulative[k, lane]
    needed = np.where(passed.any(axis=0), exponential - before, 0.0)
    share = needed / np.where(after > before, after - before, 1.0)
    day = days[k - 1] + share * (days[k] - days[k - 1])
    return np.where(passed.any(axis=0), day, np.inf)


@dataclass(frozen=True)
class Push:
    """What drives a lane over one step: rate of consolidation and input to function's target, [lane]."""

    kappa: Lane
    v: Lane


def advance(
    params: Any, person: Person, x: tuple[Lane, Lane], push: Push, h: Lane | float, z: Normals
) -> tuple[Lane, Lane]:
    """(f, s) after `h` days: drift over half the step, diffusion by the standard normals `z`, drift over the other half.

    `params` needs k_f, r, sig_f and sig_s, scalars or [lane].
    """
    f, s = _flow(params, person, x, push, h / 2)
    root = np.sqrt(h)
    return _flow(params, person, (f + params.sig_f * z[0] * root, s + params.sig_s * z[1] * root), push, h / 2)


def _flow(params: Any, person: Person, x: tuple[Lane, Lane], push: Push, h: Lane | float) -> tuple[Lane, Lane]:
    """Drift over `h` days: midpoint rule."""
    f, s = x
    df, ds = _drift(params, person, f, s, push)
    df, ds = _drift(params, person, f + h / 2 * df, s + h / 2 * ds, push)
    return f + h * df, s + h * ds


def _drift(params: Any, person: Person, f: Lane, s: Lane, push: Push) -> tuple[Lane, Lane]:
    pull = s - person.level if person.theta is None else s * (s - person.theta) * (s - 1.0)
    return params.k_f * (s + push.v - f), push.kappa * (f - s) - params.r * pull


def _value(parameter: Any) -> np.ndarray:
    return np.asarray(parameter, float)
