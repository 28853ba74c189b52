"""One session's BOLD on one atlas: good parcels, standardised series on the true time axis, correlation matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._types import Series, Square
from remanent.circuits.definitions import definitions
from remanent.study.session import Run

_LARGEST = 1e100  # beyond it squares overflow; no scanner writes such numbers
_FLAT = 1e-10  # a series whose spread is below this share of its size is rounding, not signal


@dataclass(frozen=True, slots=True)
class Bold:
    """Standardised series and correlations of one session on one atlas.

    Attributes
    ----------
    labels
        Parcel names, [parcel].
    r
        Pearson correlations, [parcel, parcel]; NaN for dropped parcels.
    z
        Standardised series on the full time axis, zero at censored frames and in dropped parcels, [full_frame, parcel];
        None where only a matrix exists.
    sd
        Standard deviation of each parcel in the pipeline's unit, root mean square over runs, [parcel].
    kept
        Frames that hold data, [full_frame].
    n_frames
        Frames behind `r`; 0 if unknown.
    tr_s
        Repetition time (s); NaN if unknown.
    dropped
        Why each dropped parcel was dropped, by label.
    problem
        Why the frames cannot be placed in time; empty if they can.
    """

    labels: tuple[str, ...]
    r: Square
    z: Series | None
    sd: Float[ndarray, " parcel"]
    kept: Bool[ndarray, " full_frame"]
    n_frames: int
    tr_s: float
    dropped: dict[str, str]
    problem: str = ""

    @property
    def good(self) -> Bool[ndarray, " parcel"]:
        """Parcels that were not dropped, [parcel]."""
        return np.array([label not in self.dropped for label in self.labels], dtype=bool)

    @property
    def minutes(self) -> float:
        """Usable time (min); NaN if the repetition time or the number of frames is unknown."""
        return self.n_frames * self.tr_s / 60 if self.n_frames else np.nan


@dataclass(frozen=True, slots=True)
class _Placed:
    """A run's frames where they were in time: `values` [full_frame, parcel] hold anything where not `kept`."""

    values: Series
    kept: Bool[ndarray, " full_frame"]
    mean: Float[ndarray, " parcel"]
    sd: Float[ndarray, " parcel"]
    faults: dict[str, str]
    problem: str


def prepare(runs: Sequence[Run]) -> Bold:
    """Join the runs of one session on one atlas.

    Each run is standardised by itself, then joined on one time axis with a gap as long as the longest run, so that no
    pair of frames from two runs ever counts as neighbours. The estimator is Pearson's correlation of the kept frames.
    Nothing is shrunk: shrinkage depends on the scan's length and would turn a shorter scan into a weaker circuit.
    """
    labels = runs[0].labels
    placed = [_place(run, run.series, labels) for run in runs if run.series is not None]
    if not placed:
        return _from_matrix(runs[0])
    dropped = {label: reason for part in placed for label, reason in part.faults.items()}
    bad = np.array([label in dropped for label in labels], dtype=bool)
    gap = max(1, *(len(part.kept) for part in placed))
    kept = np.concatenate([np.pad(part.kept, (0, gap)) for part in placed])[:-gap]
    z = np.zeros((len(kept), len(labels)))
    start = 0
    for part in placed:
        z[start : start + len(part.kept)] = _standardise(part, bad)
        start += len(part.kept) + gap
    n_frames = int(kept.sum())
    r = z.T @ z / max(n_frames, 1)
    r[bad, :] = r[:, bad] = np.nan
    tr_s, problems = _repetition_time(runs)
    problems += [part.problem for part in placed if part.problem]
    sd = np.sqrt(np.mean([np.where(bad, 0.0, part.sd) ** 2 for part in placed], axis=0))
    return Bold(labels, r, z, sd, kept, n_frames, tr_s, dropped, "; ".join(dict.fromkeys(problems)))


def _repetition_time(runs: Sequence[Run]) -> tuple[float, list[str]]:
    """Repetition time (s) that the runs share, NaN if unknown, and what is wrong if they differ."""
    known = {run.tr_s for run in runs if run.tr_s is not None}
    if len(known) > 1:
        return np.nan, [f"runs with different repetition times ({', '.join(f'{tr:g}' for tr in sorted(known))} s)"]
    return (known.pop() if known else np.nan), []


def _place(run: Run, series: Series, labels: tuple[str, ...]) -> _Placed:
    """Order columns by `labels` and put frames back where they were; a frame without any value is not kept."""
    values = series if run.labels == labels else _columns(run, series, labels)
    kept = np.ones(len(series), dtype=bool) if run.kept is None else run.kept
    problem = ""
    if int(kept.sum()) == len(series) != len(kept):
        full = np.full((len(kept), len(labels)), np.nan)
        full[kept] = values
        values = full
    elif len(kept) != len(series):
        problem = (
            f"the series holds {len(series)} frames but the censoring mask keeps {int(kept.sum())} of {len(kept)}: "
            "frames cannot be placed in time"
        )
        kept = np.ones(len(series), dtype=bool)
    usable = np.abs(values) < _LARGEST
    kept = kept & usable.any(axis=1)
    complete = usable[kept].all(axis=0)
    inside = values if kept.all() else values[kept]
    inside = inside if complete.all() else np.where(complete, inside, 0.0)
    mean = inside.mean(axis=0) if len(inside) else np.zeros(len(labels))
    sd = inside.std(axis=0) if len(inside) else np.zeros(len(labels))
    faults = _faults(labels, complete, sd <= _FLAT * np.maximum(np.abs(mean), sd), _coverage(run, labels))
    return _Placed(values, kept, mean, sd, faults, problem)


def _columns(run: Run, series: Series, labels: Sequence[str]) -> Float[ndarray, "frame label"]:
    position = {label: i for i, label in enumerate(run.labels)}
    known = np.array([label in position for label in labels], dtype=bool)
    values = np.full((len(series), len(labels)), np.nan)
    values[:, known] = series[:, [position[label] for label in labels if label in position]]
    return values


def _standardise(part: _Placed, bad: Bool[ndarray, " parcel"]) -> Float[ndarray, "full_frame parcel"]:
    z = part.values - np.where(bad, 0.0, part.mean)
    z /= np.where(bad, 1.0, part.sd)
    z[:, bad] = 0.0
    z[~part.kept] = 0.0
    return z


def _coverage(run: Run, labels: Sequence[str]) -> Float[ndarray, " parcel"]:
    known = {} if run.coverage is None else dict(zip(run.labels, run.coverage.tolist(), strict=True))
    return np.array([known.get(label, 1.0) for label in labels], dtype=float)


def _faults(
    labels: Sequence[str],
    complete: Bool[ndarray, " parcel"],
    flat: Bool[ndarray, " parcel"],
    coverage: Float[ndarray, " parcel"],
) -> dict[str, str]:
    """Why parcels take no part: missing values, no variance, too little inside the field of view."""
    minimum = definitions().rule("minimum_coverage")
    covered = coverage >= minimum
    reasons: dict[str, str] = {}
    for i in np.flatnonzero(~(covered & complete & ~flat)).tolist():
        if not covered[i]:
            reasons[labels[i]] = f"coverage {coverage[i]:.2f} is below {minimum:g}"
        elif not complete[i]:
            reasons[labels[i]] = "missing, infinite or absurd values"
        else:
            reasons[labels[i]] = "no variance"
    return reasons


def _from_matrix(run: Run) -> Bold:
    """Use the pipeline's own matrix where no series exists."""
    n_parcels = len(run.labels)
    r = np.full((n_parcels, n_parcels), np.nan) if run.relmat is None else np.array(run.relmat, dtype=float)
    r[~(np.abs(r) <= 1 + 1e-6)] = np.nan
    np.fill_diagonal(r, np.nan)
    empty = np.isnan(r).all(axis=1)
    coverage = _coverage(run, run.labels)
    minimum = definitions().rule("minimum_coverage")
    dropped = {label: "no correlation in the matrix" for label, none in zip(run.labels, empty, strict=True) if none}
    for label, share in zip(run.labels, coverage, strict=True):
        if not share >= minimum:
            dropped.setdefault(label, f"coverage {share:.2f} is below {minimum:g}")
    bad = np.array([label in dropped for label in run.labels], dtype=bool)
    r[bad, :] = r[:, bad] = np.nan
    np.fill_diagonal(r, np.where(bad, np.nan, 1.0))
    kept = np.zeros(0, dtype=bool) if run.kept is None else run.kept
    tr_s = np.nan if run.tr_s is None else run.tr_s
    return Bold(run.labels, r, None, np.full(n_parcels, np.nan), kept, int(kept.sum()), tr_s, dropped)
