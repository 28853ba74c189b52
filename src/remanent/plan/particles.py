"""Possible truths about every patient, today or later on unchanged doses, and what each measure would then show.

For each mechanism and each draw of the population parameters, one draw of the patient's state x = (f, s, random effects) from its filtered law; the
patient's own level of each measure is kept as a Gaussian given x, so that a reading's law given a particle is exact. Until a later day the state moves by
the model's own transition with its process noise, and a particle counts as far as it predicts no relapse until then.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from remanent.dynamics.compile import compiled
from remanent.dynamics.forecast import KEPT, Today
from remanent.dynamics.infer import Posterior
from remanent.dynamics.model import transition
from remanent.dynamics.pointwise import passed
from remanent.dynamics.steps import Grid
from remanent.plan.next_scan import Reading

_NAMED = ("l_f", "l_s", "l_e", "l_w", "mu", "sigma")
_SCALAR = ("tau_e", "tau_w", "k_f", "c", "a", "r", "sig_f", "sig_s")


class Possible(NamedTuple):
    """Draws under one mechanism.

    Attributes
    ----------
    today
        Parameters and states, see `forecast.Today`.
    level, level_cov
        Mean and covariance of each measure's own level, less the state's part, given the state, [draw, patient, measure (, measure)].
    trace, withdrawal
        e and w, [draw, patient].
    params
        Parameters by name, [draw] or [draw, measure]; `alpha` [draw, class].
    """

    today: Today
    level: Float[np.ndarray, "draw patient measure"]
    level_cov: Float[np.ndarray, "draw patient measure measure"]
    trace: Float[np.ndarray, "draw patient"]
    withdrawal: Float[np.ndarray, "draw patient"]
    params: dict[str, np.ndarray]


def possible(
    posterior: Posterior, grid: Grid, mechanism: int, size: tuple[int, int], rng: np.random.Generator
) -> Possible:
    """Draws of today under one mechanism; `size`: (draws, patients)."""
    draws, patients = size
    theta = posterior.fits[mechanism].draw(rng, draws)
    found = passed(posterior.layout, posterior.layout.acting(mechanism), theta, grid)
    named = {name: getattr(found.params, name) for name in (*_NAMED, *_SCALAR, "alpha")}
    mean, cov = found.mean[:, :patients], found.cov[:, :patients]
    kept = len(KEPT[posterior.layout.form])
    inner = cov[..., :kept, :kept] + 1e-12 * np.eye(kept)
    z = rng.standard_normal((*mean.shape[:2], kept, 1))
    x = mean[..., :kept] + (np.linalg.cholesky(inner) @ z)[..., 0]
    gain = np.swapaxes(np.linalg.solve(inner, cov[..., :kept, kept:]), -1, -2)
    level = mean[..., kept:] + (gain @ (x - mean[..., :kept])[..., None])[..., 0]
    level_cov = cov[..., kept:, kept:] - gain @ cov[..., :kept, kept:]
    today = Today(theta, *np.moveaxis(x, -1, 0))
    level = level + named["mu"][:, None]
    return Possible(today, level, level_cov, found.trace[:, :patients], found.withdrawal[:, :patients], named)


def moved(
    now: Possible,
    later: tuple[Float[np.ndarray, "draw patient"], Float[np.ndarray, "draw patient"]],
    dose: Float[np.ndarray, "class patient"],
    days: float,
    rng: np.random.Generator,
) -> Possible:
    """The same draws after `days`: `later` holds the expected f and s, `dose` mean exposure until then; diffusion is drawn, as in the linear form."""
    p = now.params
    kappa = p["c"][:, None] + p["a"][:, None] * np.tensordot(p["alpha"], dose, 1)
    column = {k: p[k][:, None] for k in ("k_f", "r", "sig_f", "sig_s")}
    law = _transition()(
        column["k_f"], kappa, column["r"], (column["sig_f"], column["sig_s"]), np.full(kappa.shape, days)
    )
    qff, qfs, qss = (np.asarray(v) for v in (law.qff, law.qfs, law.qss))
    a, b = rng.standard_normal((2, *qff.shape))
    root = np.sqrt(np.maximum(qff, 1e-300))
    f = later[0] + root * a
    s = later[1] + qfs / root * a + np.sqrt(np.maximum(qss - qfs**2 / root**2, 0.0)) * b
    return now._replace(
        today=now.today._replace(f=f, s=s),
        trace=now.trace * np.exp(-days / p["tau_e"])[:, None],
        withdrawal=now.withdrawal * np.exp(-days / p["tau_w"])[:, None],
    )


@cache
def _transition() -> Callable[..., Any]:
    return compiled(transition)


def reading_of(
    parts: Sequence[Possible],
    patient: int,
    measures: Int[np.ndarray, " measure"],
    se2: Float[np.ndarray, " measure"],
    repeats: int,
) -> Reading:
    """What the measures would show of one patient, particles of all mechanisms in order; `repeats` readings count as their mean."""
    means, covs = [], []
    for one in parts:
        p = {k: one.params[k][:, measures] for k in _NAMED}
        t = one.today
        state = p["l_f"] * t.f[:, patient, None] + p["l_s"] * t.s[:, patient, None]
        inputs = p["l_e"] * one.trace[:, patient, None] + p["l_w"] * one.withdrawal[:, patient, None]
        means.append(one.level[:, patient, measures] + state + inputs)
        own = one.level_cov[:, patient][:, measures[:, None], measures[None]]
        noise = (p["sigma"] ** 2 + se2) / repeats
        covs.append(own + noise[:, :, None] * np.eye(measures.size))
    return Reading(np.concatenate(means), np.concatenate(covs))
