r"""Are there kinds of patients? Clusters of circuit and mechanism posteriors, believed only if they are more than one cloud would give, and stable.

1. Values are standardised, cut at two sd (tails are no clusters) and turned onto the principal components that hold 80 % of the variance (at most five).
2. k-means for k = 2 to 5; the statistic is the share of the variance left within clusters.
3. The same on clouds without clusters: one Gaussian with the data's variances, and a uniform box (the gap statistic's reference, Tibshirani 2001,
   doi:10.1111/1467-9868.00293). The largest standardised gap over k is compared with its own distribution under each; the larger p-value counts.
4. The clusters must come back in random subsamples of four fifths of the patients: mean adjusted Rand index (Hubert 1985, doi:10.1007/BF01908075), and none
   may be tiny. Of the numbers of clusters that pass, the one with the largest gap is taken.

``none`` is an answer, and the usual one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

Finding = Literal["found", "none", "unstable", "too_few"]
COUNTS = (2, 3, 4, 5)
LEAST_PATIENTS = 20
LEVEL = 0.05
STABLE = 0.75  # adjusted Rand index from which a partition counts as the same one
LEAST_SHARE, LEAST_MEMBERS = 0.1, 5
REFERENCES, SUBSAMPLES, KEPT = 99, 40, 0.8
_VARIANCE, _MOST_COMPONENTS, _CUT = 0.8, 5, 2.0
_RESTARTS, _STEPS, _BLOCK = 3, 60, 50
_RESTARTS_OF_ONE = 30


@dataclass(frozen=True)
class Subtypes:
    """What was found.

    Attributes
    ----------
    finding
        ``found``; ``none``: nothing beyond one cloud; ``unstable``: clusters that do not come back, or tiny ones; ``too_few`` patients.
    label
        Cluster of each patient from 0 on; -1 unless `finding` is ``found``, [patient].
    count
        Number of clusters best supported.
    p_value, stability
        Of the steps above; NaN where they were not taken.
    """

    finding: Finding
    label: Int[np.ndarray, " patient"]
    count: int
    p_value: float
    stability: float

    @property
    def words(self) -> str:
        """The answer in a sentence."""
        said = {
            "found": f"{self.count} stable subtypes (p {self.p_value:.3f}, adjusted Rand index {self.stability:.2f} in subsamples).",
            "none": f"No stable subtypes: one cloud of patients explains the data (p {self.p_value:.2f}).",
            "unstable": f"No stable subtypes: {self.count} clusters do not come back in subsamples, or are tiny (adjusted Rand index {self.stability:.2f}).",
            "too_few": f"Too few patients to look for subtypes (at least {LEAST_PATIENTS}).",
        }
        return said[self.finding]


def find_subtypes(x: Float[np.ndarray, "patient feature"], rng: np.random.Generator) -> Subtypes:
    """Subtypes of the patients, or that there are none; NaN is read as the median."""
    patients = len(x)
    nobody = np.full(patients, -1)
    points = components(x) if patients >= LEAST_PATIENTS else np.empty((patients, 0))
    if not points.shape[1]:
        return Subtypes("too_few" if patients < LEAST_PATIENTS else "none", nobody, 1, np.nan, np.nan)
    gap, p_value = _against_references(points, rng)
    if p_value > LEVEL:
        return Subtypes("none", nobody, COUNTS[int(np.argmax(gap))], p_value, np.nan)
    labels = [k_means(points[None], k, rng, _RESTARTS_OF_ONE)[0][0] for k in COUNTS]
    stability = np.array([stable(points, one, k, rng) for one, k in zip(labels, COUNTS, strict=True)])
    least = max(LEAST_MEMBERS, LEAST_SHARE * patients)
    large = np.array([np.bincount(one, minlength=k).min() >= least for one, k in zip(labels, COUNTS, strict=True)])
    kept = (stability >= STABLE) & large
    best = int(np.argmax(np.where(kept, gap, -np.inf) if kept.any() else stability))
    answer = (COUNTS[best], p_value, float(stability[best]))
    return Subtypes("found", _by_size(labels[best]), *answer) if kept.any() else Subtypes("unstable", nobody, *answer)


def _by_size(label: np.ndarray) -> np.ndarray:
    """Largest cluster first."""
    order = np.argsort(-np.bincount(label), kind="stable")
    return np.argsort(order)[label]


def components(x: Float[np.ndarray, "patient feature"]) -> Float[np.ndarray, "patient component"]:
    """Standardised, cut, and turned onto the first principal components."""
    known = np.isfinite(x)
    x = x[:, known.any(0)]
    x = np.where(np.isfinite(x), x, np.nanmedian(x, axis=0)) if x.size else x
    sd = x.std(0)
    x = np.clip((x - x.mean(0))[:, sd > 1e-9] / sd[sd > 1e-9], -_CUT, _CUT)
    x = x - x.mean(0)
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    share = np.cumsum(size**2) / max((size**2).sum(), 1e-12)
    return (left * size)[:, : min(int(np.searchsorted(share, _VARIANCE)) + 1, _MOST_COMPONENTS, len(size))]


def _against_references(points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Standardised gap for each of COUNTS under the less favourable reference, and its p-value."""
    n, d = points.shape
    clouds = (
        rng.normal(size=(REFERENCES, n, d)) * points.std(0),
        rng.uniform(points.min(0), points.max(0), (REFERENCES, n, d)),
    )
    own = _within(points[None], rng)[0]
    gaps, p_values = [], []
    for cloud in clouds:
        reference = _within(cloud - cloud.mean(1, keepdims=True), rng)
        mean, sd = reference.mean(0), np.maximum(reference.std(0), 1e-12)
        gaps.append((mean - own) / sd)
        largest = ((mean - reference) / sd).max(1)
        p_values.append((1 + (largest >= gaps[-1].max()).sum()) / (1 + REFERENCES))
    worst = int(np.argmax(p_values))
    return gaps[worst], float(p_values[worst])


def _within(sets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log share of the variance that is left within clusters, [set, count]."""
    total = (sets**2).sum((1, 2))
    return np.log(np.stack([k_means(sets, k, rng)[1] for k in COUNTS], axis=1) / total[:, None])


def k_means(
    sets: Float[np.ndarray, "set row dim"], count: int, rng: np.random.Generator, starts: int = _RESTARTS
) -> tuple[Int[np.ndarray, "set row"], Float[np.ndarray, " set"]]:
    """Labels and sum of squares within clusters of many sets at once: the best of several k-means++ starts (Lloyd's steps)."""
    parts = [_k_means(sets[i : i + _BLOCK], count, rng, starts) for i in range(0, len(sets), _BLOCK)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _k_means(sets: np.ndarray, count: int, rng: np.random.Generator, starts: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.repeat(sets, starts, axis=0)
    centre = _start(x, count, rng)
    for _ in range(_STEPS):
        member = np.eye(count)[_nearest(x, centre)[0]]
        size = member.sum(1)
        moved = np.einsum("snk,snd->skd", member, x) / np.maximum(size, 1)[..., None]
        fresh = np.where(size[..., None] > 0, moved, centre)
        if np.abs(fresh - centre).max() < 1e-9:
            break
        centre = fresh
    label, squares = _nearest(x, centre)
    inertia = squares.sum(1).reshape(len(sets), starts)
    best = np.arange(len(sets)) * starts + inertia.argmin(1)
    return label[best], inertia.min(1)


def _start(x: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each further centre with probability proportional to the squared distance from those there are."""
    every = np.arange(len(x))
    centre = x[every, rng.integers(x.shape[1], size=len(x))][:, None]
    for _ in range(count - 1):
        squares = _nearest(x, centre)[1] + 1e-12
        mass = np.cumsum(squares, axis=1)
        chosen = (mass < rng.uniform(size=(len(x), 1)) * mass[:, -1:]).sum(1)
        centre = np.concatenate([centre, x[every, chosen][:, None]], axis=1)
    return centre


def _nearest(x: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centre of each row and the squared distance from it, [set, row]."""
    squares = (x**2).sum(2)[..., None] - 2 * x @ centre.swapaxes(1, 2) + (centre**2).sum(2)[:, None]
    return squares.argmin(2), np.maximum(squares.min(2), 0.0)


def stable(points: np.ndarray, label: np.ndarray, count: int, rng: np.random.Generator) -> float:
    """Mean adjusted Rand index between a partition and those of subsamples, on the patients drawn."""
    kept = int(KEPT * len(points))
    rows = np.stack([rng.permutation(len(points))[:kept] for _ in range(SUBSAMPLES)])
    again = k_means(points[rows], count, rng)[0]
    return float(np.mean([adjusted_rand(label[r], one) for r, one in zip(rows, again, strict=True)]))


def adjusted_rand(one: Int[np.ndarray, " row"], two: Int[np.ndarray, " row"]) -> float:
    """Agreement of two partitions: 1 the same, 0 that of chance."""
    table = np.zeros((one.max() + 1, two.max() + 1))
    np.add.at(table, (one, two), 1)
    together, rows, columns = ((v * (v - 1) / 2).sum() for v in (table, table.sum(1), table.sum(0)))
    pairs = len(one) * (len(one) - 1) / 2
    chance = rows * columns / pairs
    most = (rows + columns) / 2
    return float((together - chance) / (most - chance)) if most > chance else 1.0
