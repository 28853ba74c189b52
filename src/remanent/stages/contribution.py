"""What each kind of data added: the same population, the same patients, one modality left out of the filter pass."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from remanent.dynamics.grid import TimeLine, look_ahead
from remanent.dynamics.model import SENSITIVE, STRESSORS
from remanent.dynamics.steps import Grid
from remanent.relapse.predict import EDGES_DAYS, Ensemble, kept, mean_at, posterior_ensemble

HORIZON_DAYS = 182.0
DRAWS = 60


@dataclass(frozen=True)
class Contribution:
    """What one modality added, its observations being hidden from every patient's filter but not from the population fit.

    Attributes
    ----------
    shift_bits
        For each lane, the divergence in bits of the forecast with the modality from the one without (relapse within 182 days on
        unchanged doses); NaN where the patient has none of it.
    with_all, without
        Those two probabilities, [lane].
    """

    modality: str
    shift_bits: np.ndarray
    with_all: np.ndarray
    without: np.ndarray


def contributions(
    after: Ensemble, timeline: TimeLine, given: Float[np.ndarray, "class interval lane"], seed: int
) -> tuple[Contribution, ...]:
    """Contribution of scans, momentary ratings, CRP and sleep, where there are any; `after` made the forecasts, `given` is exposure on unchanged doses.

    The difference that a modality makes comes from fewer draws, the same with and without it, and moves the forecast from all draws by that much in logit.
    """
    posterior, weight = after.posterior, after.weight[0]
    every = np.zeros(len(posterior.fits))
    every[list(after.mechanisms)] = weight
    weights = np.repeat(every[None], len(timeline.lanes), 0)

    def forecast(grid: Grid, stress: np.ndarray) -> np.ndarray:
        ensemble = posterior_ensemble(posterior, grid, weights, DRAWS, np.random.default_rng(seed))
        return _at_horizon(ensemble, timeline, given, stress)

    present = [one for one in _without_each(timeline) if one[3].any()]
    if not present:
        return ()
    with_all = _at_horizon(after, timeline, given, timeline.stress_today)
    same = forecast(timeline.grid, timeline.stress_today)
    out = []
    for name, grid, stress, has in present:
        without = expit(_logit(with_all) + _logit(forecast(grid, stress)) - _logit(same))
        shift = np.where(has, _bernoulli_bits(with_all, without), np.nan)
        out.append(Contribution(name, shift, with_all, without))
    return tuple(out)


def _at_horizon(ensemble: Ensemble, timeline: TimeLine, given: np.ndarray, stress: np.ndarray) -> np.ndarray:
    return mean_at(ensemble, kept(ensemble, look_ahead(timeline, given, EDGES_DAYS, stress=stress)), HORIZON_DAYS)


def _logit(p: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = logit(np.clip(p, 1e-9, 1 - 1e-9))
    return clipped


def _without_each(timeline: TimeLine) -> list[tuple[str, Grid, np.ndarray, np.ndarray]]:
    """Name, grid without it, stressors today without it, and which lanes have it."""
    grid, lanes, indicators = timeline.grid, len(timeline.lanes), timeline.design.indicators
    ema = np.array([n.startswith("ema_") for n in indicators.names])
    out = []
    for name, mine in (("scans", ~indicators.is_symptom & ~ema), ("momentary ratings", ema)):
        seen = (grid.observed > 0) & mine[grid.indicator]
        hidden = grid._replace(observed=np.where(seen, 0.0, grid.observed))
        out.append((name, hidden, timeline.stress_today, seen.any((0, 1))[:lanes]))
    for name, row in (("CRP", 0), ("sleep", 1)):
        kept = np.ones((len(STRESSORS), 1))
        kept[row] = 0.0
        has = (grid.stress[row] != 0).any(0)[:lanes] | (timeline.stress_today[row] != 0)
        without = grid._replace(stress=grid.stress * kept[..., None])
        out.append((name, without, timeline.stress_today * kept[:SENSITIVE], has))
    return out


def _bernoulli_bits(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = (np.clip(v, 1e-9, 1 - 1e-9) for v in (p, q))
    return p * np.log2(p / q) + (1 - p) * np.log2((1 - p) / (1 - q))
