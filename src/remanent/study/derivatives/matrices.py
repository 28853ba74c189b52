"""Square matrices by label: what makes one unusable, in one place for correlations and connectomes."""

from collections.abc import Sequence

import numpy as np

from remanent._types import Square
from remanent.study.derivatives.files import RefusedError

_TOLERANCE = 1e-6  # relative; programs write at least seven digits


def check_labels(file: str, name: str, labels: Sequence[str], shape: tuple[int, ...]) -> None:
    """Refuse labels that do not say which row is which: duplicated, empty, or not as many as rows."""
    if len(shape) != 2 or shape[0] != shape[1]:
        size = " x ".join(map(str, shape))
        raise RefusedError(file, f"This matrix is {size}, not square, so it is not a connectivity matrix.", column=name)
    if len(labels) != shape[0]:
        why = f"It has {shape[0]} rows and {len(labels)} labels, so it is not known which parcel a row is."
        raise RefusedError(file, f"{why} Compute it anew.", column=name)
    if not all(labels):
        raise RefusedError(file, "A label of this matrix is empty, so it is not known which parcel it is.", column=name)
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if list(labels).count(label) > 1)
        raise RefusedError(file, f"Two rows are labelled {twice}, so it is not known which is meant.", column=name)


def check_symmetric(file: str, name: str, labels: Sequence[str], values: Square) -> None:
    """Refuse infinite entries and a matrix that is not its own transpose; NaN must lie symmetrically too."""
    if np.isinf(values).any():
        raise RefusedError(file, f"{_where(labels, np.isinf(values))} is infinite. Compute it anew.", column=name)
    missing = np.isnan(values)
    scale = np.abs(np.where(missing, 0.0, values)).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        unequal = (missing != missing.T) | (np.abs(values - values.T) > _TOLERANCE * scale)
    if unequal.any():
        where = _where(labels, unequal)
        raise RefusedError(file, f"{where} differs from its mirror image; this matrix must be symmetric.", column=name)


def check_range(file: str, name: str, labels: Sequence[str], values: Square, low: float, high: float) -> None:
    """Refuse entries outside [low, high]; NaN passes."""
    slack = _TOLERANCE * max(1.0, abs(low)) if np.isfinite(low) else 0.0
    with np.errstate(invalid="ignore"):
        outside = (values < low - slack) | (values > high + _TOLERANCE)
    if outside.any():
        limits = f"at least {low:g}" if np.isinf(high) else f"between {low:g} and {high:g}"
        raise RefusedError(file, f"{_where(labels, outside)} is not {limits}. Compute it anew.", column=name)


def _where(labels: Sequence[str], faults: Square) -> str:
    row, column = np.argwhere(faults)[0]
    return f"The entry {labels[row]}, {labels[column]}"
