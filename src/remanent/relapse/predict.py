"""Remanence, hold and relapse probability of each patient under given courses, averaged over mechanisms, with intervals and with what they rest on.

    remanence(t, H) = E[f(t + H) | all drugs withdrawn from t] / E[f(t)]
    hold(t, H)      = P(no relapse in (t, t + H] | all drugs withdrawn from t)

A draw is a mechanism, population parameters from its posterior and the patient's state today; future diffusion is integrated within the draw. So the mean
over draws is the probability, and its 90 % interval says how well the study pins that probability down. The same quantities under draws from the prior
(same doses and horizon, no data) show whether the data or the prior speak: `contraction` is the share of the prior variance that the data removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from remanent.dynamics.forecast import Ahead, Outlook, Today, draw_today, roll_forward
from remanent.dynamics.infer import LEAST_WEIGHT, Posterior
from remanent.dynamics.priors import MECHANISMS
from remanent.dynamics.steps import Grid, unobserved
from remanent.dynamics.survive import Kept, survive
from remanent.relapse.definition import HORIZONS_DAYS

# Ends of the intervals of a forecast (days): fine where a withdrawn drug still moves, weekly after.
EDGES_DAYS = np.concatenate([[0.0, 1.0, 2.0, 4.0, 7.0, 10.0], np.arange(14.0, 365.0, 7.0)])
INTERVAL = (0.05, 0.95)
# Remanence divides by function today; below this value the ratio means nothing.
LEAST_FUNCTION = 0.1
# Draws that go through the filter, and forward from today, at once: one compiled program each serves ensembles of every size.
DRAW_BUCKET, ROLL_BUCKET = 10, 60
FEW_PATIENTS, ROLL_BUCKET_OF_FEW = 8, 240  # what a call costs beside its work counts then


@dataclass(frozen=True)
class Ensemble:
    """Weighted draws of today under each mechanism that matters.

    Attributes
    ----------
    mechanisms
        Index of each into `MECHANISMS`.
    today
        Draws under each.
    weight
        Of each mechanism's draws together, [patient, mechanism kept]; sums to 1 over mechanisms.
    log_lik
        Log likelihood of all data at each draw (nats), [draw] for each mechanism; empty where draws were read back, or are one patient's.
    """

    posterior: Posterior
    mechanisms: tuple[int, ...]
    today: tuple[Today, ...]
    weight: np.ndarray
    log_lik: tuple[np.ndarray, ...] = ()

    def of(self, patient: int) -> "Ensemble":
        """The same draws of one patient."""
        one = slice(patient, patient + 1)
        return Ensemble(self.posterior, self.mechanisms, tuple(t.of(one) for t in self.today), self.weight[one])


@dataclass(frozen=True)
class Estimate:
    """Mean and 90 % interval, [interval or horizon, patient]."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def posterior_ensemble(
    posterior: Posterior,
    grid: Grid,
    weight: Float[np.ndarray, "patient mechanism"],
    draws: int,
    rng: np.random.Generator,
) -> Ensemble:
    """`draws` draws given the data, shared out among mechanisms; those with less than a thousandth of the weight everywhere are left out."""
    thetas = {m: posterior.fits[m].draw(rng, n) for m, n in shared_out(draws, weight).items()}
    return ensemble_at(posterior, thetas, grid, weight, rng)


def shared_out(draws: int, weight: Float[np.ndarray, "patient mechanism"]) -> dict[int, int]:
    """Draws for each mechanism with at least a thousandth of the weight somewhere, in proportion to its largest weight.

    In whole buckets where `draws` are, and at least one for each mechanism.
    """
    which = np.flatnonzero(weight.max(0) >= LEAST_WEIGHT)
    size = DRAW_BUCKET if draws % DRAW_BUCKET == 0 and draws >= DRAW_BUCKET * which.size else 1
    share = weight.max(0)[which] / weight.max(0)[which].sum()
    spare = draws // size - which.size
    cuts = np.round(np.cumsum(share) * spare).astype(int)
    return dict(zip(which.tolist(), (size * (1 + np.diff(cuts, prepend=0))).tolist(), strict=True))


def ensemble_at(
    posterior: Posterior,
    thetas: Mapping[int, Float[np.ndarray, "draw param"]],
    grid: Grid,
    weight: Float[np.ndarray, "patient mechanism"],
    rng: np.random.Generator,
    among: tuple[int, int] | None = None,
) -> Ensemble:
    """Draws of today given the data at given population parameters of each mechanism; `among`: see `draw_today`."""
    which = tuple(thetas)
    layout = posterior.layout
    drawn = [draw_today(layout, theta, layout.acting(m), grid, rng, among) for m, theta in thetas.items()]
    shares = weight[:, which] / weight[:, which].sum(1, keepdims=True)
    today = tuple(_real(t, len(weight)) for t, _ in drawn)
    return Ensemble(posterior, which, today, shares, tuple(log_lik for _, log_lik in drawn))


def prior_ensemble(
    posterior: Posterior,
    grid: Grid,
    patients: int,
    draws: int,
    rng: np.random.Generator,
    prior: Posterior | None = None,
) -> Ensemble:
    """As many draws of each mechanism from the prior on the same doses and ECT, nothing having been observed; `prior`: another than that of priors.yaml."""
    blind = unobserved(grid)
    size, every = posterior.layout.size, tuple(range(len(MECHANISMS)))
    each = draws // len(every)
    theta = [rng.standard_normal((each, size)) if prior is None else prior.fits[m].draw(rng, each) for m in every]
    layout = posterior.layout
    today = [draw_today(layout, theta[m], layout.acting(m), blind, rng)[0] for m in every]
    weight = np.full((patients, len(MECHANISMS)), 1 / len(MECHANISMS))
    return Ensemble(posterior, every, tuple(_real(t, patients) for t in today), weight)


def in_buckets(theta: Float[np.ndarray, "draw param"], size: int = DRAW_BUCKET) -> list[np.ndarray]:
    """Draws in parts of `size`, or all at once where that leaves a rest."""
    return np.split(theta, max(len(theta) // size, 1)) if len(theta) % size == 0 else [theta]


def _joined(parts: Sequence[Today]) -> Today:
    """The draws of all parts, one after the other."""
    return Today(*(None if v[0] is None else np.concatenate(v) for v in zip(*parts, strict=True)))


def _real(today: Today, patients: int) -> Today:
    return today.of(slice(patients))


def roll(ensemble: Ensemble, outlook: Outlook) -> tuple[Ahead, ...]:
    """Each mechanism's draws through one course; estimates at horizons want intervals that end at EDGES_DAYS[1:]."""
    layout, found = ensemble.posterior.layout, []
    for m, today in zip(ensemble.mechanisms, ensemble.today, strict=True):
        parts = [roll_forward(layout, layout.acting(m), one, outlook) for one in _parts(today, DRAW_BUCKET)]
        found.append(Ahead(*(np.concatenate(v, axis=1) for v in zip(*parts, strict=True))))
    return tuple(found)


def _parts(today: Today, size: int) -> list[Today]:
    columns = (None if v is None else in_buckets(v, size) for v in today)
    count = len(in_buckets(today.theta, size))
    return [Today(*one) for one in zip(*([None] * count if c is None else c for c in columns), strict=True)]


def kept(ensemble: Ensemble, outlook: Outlook) -> list[Kept]:
    """As `roll`, without dropout, in a tenth of the time: survival and expected states. The two-basin form has no such short cut.

    Compiled for one, two or four patients, or for the next multiple of eight.
    """
    layout, patients = ensemble.posterior.layout, len(ensemble.weight)
    if layout.form != "linear":
        return [Kept(a.survival, a.function, a.structure) for a in roll(ensemble, outlook)]
    room = next((n for n in (1, 2, 4) if patients <= n), -(-patients // 8) * 8)
    if room > patients:
        more = np.minimum(np.arange(room), patients - 1)
        wide = replace(ensemble, today=tuple(t.of(more) for t in ensemble.today), weight=ensemble.weight[more])
        return [Kept(*(v[..., :patients] for v in one)) for one in kept(wide, outlook.of(more))]
    counts = [len(t.theta) for t in ensemble.today]
    size = ROLL_BUCKET if len(ensemble.weight) > FEW_PATIENTS else ROLL_BUCKET_OF_FEW
    switches = in_buckets(np.repeat(np.stack([layout.acting(m) for m in ensemble.mechanisms]), counts, axis=0), size)
    todays = _parts(_joined(ensemble.today), size)
    parts = [survive(layout, s, t, outlook) for s, t in zip(switches, todays, strict=True)]
    whole = parts[0] if len(parts) == 1 else Kept(*(np.concatenate(v, axis=1) for v in zip(*parts, strict=True)))
    ends = np.cumsum(counts)[:-1]
    return [Kept(*one) for one in zip(*(np.split(v, ends, axis=1) for v in whole), strict=True)]


def mean_at(ensemble: Ensemble, ahead: Sequence[Ahead | Kept], days: float) -> Float[np.ndarray, " patient"]:
    """Mean probability of relapse within `days`."""
    row = int(np.searchsorted(EDGES_DAYS[1:], days))
    shares = zip(ensemble.weight.T, ahead, strict=True)
    return sum((w * (1 - a.survival[row].mean(0)) for w, a in shares), np.zeros(len(ensemble.weight)))


def relapse_probability(ensemble: Ensemble, ahead: Sequence[Ahead | Kept]) -> Estimate:
    """Probability of relapse up to the end of each interval, in a patient who is followed up."""
    return summarise([1 - a.survival for a in ahead], ensemble.weight)


def relapse_incidence(ensemble: Ensemble, ahead: Sequence[Ahead]) -> Estimate:
    """Probability that a relapse is seen up to the end of each interval, patients dropping out as they do in this study."""
    return summarise([a.incidence for a in ahead], ensemble.weight)


def remanence(ensemble: Ensemble, withdrawn: Sequence[Ahead | Kept]) -> Estimate:
    """Remanence at the end of each interval under withdrawal; NaN where function today is below LEAST_FUNCTION in mean or in the lower interval end."""
    now = summarise([t.f[None] for t in ensemble.today], ensemble.weight)
    defined = (now.mean >= LEAST_FUNCTION) & (now.lower > 0)
    later = summarise([a.function for a in withdrawn], ensemble.weight)
    ratio = [
        a.function / np.where(np.abs(t.f) > 1e-9, t.f, 1e-9) for a, t in zip(withdrawn, ensemble.today, strict=True)
    ]
    spread = summarise(ratio, ensemble.weight)
    mean = later.mean / np.where(defined, now.mean, 1.0)
    return Estimate(*(np.where(defined, v, np.nan) for v in (mean, spread.lower, spread.upper)))


def distances_to_tipping(ensemble: Ensemble, ahead: Sequence[Ahead | Kept]) -> list[np.ndarray]:
    """Structure minus the patient's tipping point, by mechanism [interval, draw, patient]; none in the linear form."""
    return [a.structure - t.tipping[None] for a, t in zip(ahead, ensemble.today, strict=True) if t.tipping is not None]


def distance_to_tipping(ensemble: Ensemble, ahead: Sequence[Ahead | Kept]) -> Estimate | None:
    """Structure minus the patient's tipping point at the end of each interval, negative where recovery no longer sustains itself; None in the linear form."""
    distances = distances_to_tipping(ensemble, ahead)
    return summarise(distances, ensemble.weight) if distances else None


def at_horizons(estimate: Estimate) -> Estimate:
    """The estimate at HORIZONS_DAYS, [horizon, patient]."""
    rows = np.searchsorted(EDGES_DAYS[1:], HORIZONS_DAYS)
    return Estimate(estimate.mean[rows], estimate.lower[rows], estimate.upper[rows])


def summarise(
    draws: Sequence[Float[np.ndarray, "interval _ patient"]], weight: Float[np.ndarray, "patient mechanism"]
) -> Estimate:
    """Weighted mean and quantiles over mechanisms and their draws, [interval, draw, patient] each, as many as there are."""
    stacked = np.concatenate(
        [np.moveaxis(d, 1, -1) for d in draws], axis=-1
    )  # draws last: sorted and summed in memory's order
    w = np.concatenate([np.repeat(weight[:, [m]], d.shape[1], 1) / d.shape[1] for m, d in enumerate(draws)], axis=1)
    mean = np.einsum("ipd,pd->ip", stacked, w)
    last, patients = stacked.shape[-1] - 1, np.arange(len(w))[:, None]
    if np.ptp(w) == 0:
        at = [min(int(np.ceil(q / w[0, 0] - 1e-9)) - 1, last) for q in INTERVAL] if w.size else [last, last]
        ranked = np.partition(stacked, at, axis=-1)
        return Estimate(mean, ranked[..., at[0]], ranked[..., at[1]])
    order = np.argsort(stacked, axis=-1)
    mass = np.cumsum(w[patients, order], axis=-1)
    at_rank = (np.minimum((mass < q).sum(-1), last)[..., None] for q in INTERVAL)
    ranks = (np.take_along_axis(order, one, -1) for one in at_rank)
    lower, upper = (np.take_along_axis(stacked, rank, -1)[..., 0] for rank in ranks)
    return Estimate(mean, lower, upper)


def contraction(
    posterior: Sequence[np.ndarray], prior: Sequence[np.ndarray], weights: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """`narrowing` of the logit of a probability."""
    return narrowing([_logit(d) for d in posterior], [_logit(d) for d in prior], weights)


def narrowing(
    posterior: Sequence[np.ndarray], prior: Sequence[np.ndarray], weights: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """1 - posterior variance / prior variance of draws [interval, draw, patient] by mechanism, least over horizons, [patient]; 0: the data said nothing."""
    rows = np.searchsorted(EDGES_DAYS[1:], HORIZONS_DAYS)
    after, before = (
        _variance([d[rows] for d in draws], w) for draws, w in zip((posterior, prior), weights, strict=True)
    )
    return (1 - after / np.maximum(before, 1e-12)).min(0)


def _logit(p: np.ndarray) -> np.ndarray:
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _variance(draws: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    stacked = np.concatenate(draws, axis=1)
    w = np.concatenate([np.repeat(weight[:, m][None], d.shape[1], 0) / d.shape[1] for m, d in enumerate(draws)])
    mean = (stacked * w[None]).sum(1, keepdims=True)
    return ((stacked - mean) ** 2 * w[None]).sum(1)
