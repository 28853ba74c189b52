"""fMRIPrep's confounds, in both generations of column names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remanent._types import Vector
from remanent.study.derivatives.files import RefusedError, read_numeric, read_text
from remanent.study.index import DerivativeFile

_FD = ("framewise_displacement", "FramewiseDisplacement")
_NON_STEADY = ("non_steady_state_outlier", "NonSteadyStateOutlier")


@dataclass(frozen=True, slots=True)
class Confounds:
    """What of one run's confounds is used.

    Attributes
    ----------
    fd_mm
        Framewise displacement (mm, Power), [full_frame], as written: NaN at the first volume, which has no predecessor.
    non_steady_state
        Number of volumes at the start that fMRIPrep takes to be before the steady state.
    """

    fd_mm: Vector
    non_steady_state: int


def is_confounds(file: DerivativeFile) -> bool:
    """Whether a file is a confounds table: ``*_desc-confounds_{timeseries,regressors}.tsv`` or ``*_confounds.tsv``."""
    described = file.entities.get("desc") == "confounds" and file.suffix in {"timeseries", "regressors"}
    return file.kind == "fmriprep" and file.extension == ".tsv" and (described or file.suffix == "confounds")


def read_confounds(root: Path, file: str) -> Confounds:
    """Read framewise displacement and the number of non-steady-state volumes."""
    header = [name.strip() for name in read_text(root, file).partition("\n")[0].split("\t")]
    fd_name = next((name for name in _FD if name in header), None)
    if fd_name is None:
        raise RefusedError(file, "This confounds table has no framewise_displacement, so motion is not known.", row=1)
    non_steady = [name for name in header if name.startswith(_NON_STEADY)]
    table = read_numeric(root, file, columns=[fd_name])
    return Confounds(valid_fd(file, table.values[:, 0]), len(non_steady))


def valid_fd(file: str, fd_mm: Vector) -> Vector:
    """Framewise displacement with every value finite and not negative, but for a missing first one."""
    wrong = ~(np.isfinite(fd_mm) & (fd_mm >= 0))
    wrong[0] &= not np.isnan(fd_mm[0])
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 2
        raise RefusedError(file, "Framewise displacement must be a number of at least 0; motion is not used.", row=row)
    return fd_mm


def confounds_by_source(files: Iterable[DerivativeFile]) -> Mapping[frozenset[tuple[str, str]], DerivativeFile]:
    """Confounds files by the entities of their BOLD run."""
    return {frozenset(file.entities.items()) - {("desc", "confounds")}: file for file in files if is_confounds(file)}
