"""One session as arrays: what the readers hand to `remanent.circuits`.

Every value is already aligned by label and free of file-format detail; what could not be read is None, with the reason in `problems`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._errors import Problem


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Who made a derivative: the first `GeneratedBy` entry of its dataset_description.json, and the settings that change values."""

    name: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One BOLD run, or the concatenation of a session's runs, on one atlas.

    Attributes
    ----------
    source
        File, relative to the study.
    labels
        Parcel names, in the order of `series` columns and `relmat` rows.
    series
        Mean signal per parcel, [frame, parcel], censored frames removed; None where only a matrix exists.
    kept
        For each frame of the full run, whether `series` holds it, [full_frame]; None: no censoring known, `series` is the full run.
    tr_s
        Repetition time (s).
    relmat
        Pearson correlation matrix as the pipeline wrote it, [parcel, parcel], NaN missing.
    coverage
        Fraction of each parcel inside the field of view, [parcel], 0 to 1.
    fd_mm
        Framewise displacement of the full run (mm, Power), [full_frame].
    quality
        The pipeline's own quality numbers by its names, e.g. ``mean_fd`` (mm), ``num_retained_volumes``, ``coreg_dice``.
    doubts
        Known errors of the versions that made it, one sentence each with its source; it is used all the same.
    """

    source: str
    task: str
    atlas: str
    labels: tuple[str, ...]
    pipeline: Pipeline
    series: Float[ndarray, "frame parcel"] | None = None
    kept: Bool[ndarray, " full_frame"] | None = None
    tr_s: float | None = None
    relmat: Float[ndarray, "parcel parcel"] | None = None
    coverage: Float[ndarray, " parcel"] | None = None
    fd_mm: Float[ndarray, " full_frame"] | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connectome:
    """One structural connectome on one atlas; `weights` are multiplied by SIFT2's mu where the study holds it (`mu_applied`)."""

    source: str
    atlas: str
    labels: tuple[str, ...]
    measure: str
    pipeline: Pipeline
    weights: Float[ndarray, "parcel parcel"]
    mu_applied: bool = False
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Morphometry:
    """FreeSurfer's numbers of one session: volumes (mm³) and thickness (mm) by structure name, e.g. ``Left-Hippocampus``, ``lh.rostralanteriorcingulate``."""

    source: str
    pipeline: Pipeline
    volume_mm3: Mapping[str, float]
    thickness_mm: Mapping[str, float]
    etiv_mm3: float | None
    longitudinal: bool
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracts:
    """Means of one diffusion scalar (``dti_fa``) within bundles, by the bundle's name as the pipeline writes it."""

    source: str
    pipeline: Pipeline
    scalar: str
    mean: Mapping[str, float]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionData:
    """Everything measured in one scan visit of one participant."""

    participant_id: str
    session_id: str
    runs: tuple[Run, ...] = ()
    connectomes: tuple[Connectome, ...] = ()
    morphometry: tuple[Morphometry, ...] = ()
    tracts: tuple[Tracts, ...] = ()
    problems: tuple[Problem, ...] = ()
