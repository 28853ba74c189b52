"""XCP-D's tables by parcel: time series, correlation matrix, coverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remanent._errors import Problem
from remanent._types import Series, Square, Vector
from remanent.study.derivatives.files import RefusedError, read_numeric, read_text
from remanent.study.derivatives.matrices import check_labels, check_range, check_symmetric


@dataclass(frozen=True, slots=True)
class ParcelSeries:
    """A parcel time series as written, [row, parcel]; a parcel outside the field of view is all NaN."""

    labels: tuple[str, ...]
    values: Series
    problems: tuple[Problem, ...]


def read_series(root: Path, file: str) -> ParcelSeries:
    """Read ``*_timeseries.tsv``: one column per parcel, no time column.

    A column that is missing throughout is a parcel outside the field of view. One that is missing or infinite in places
    is set aside: its correlations would rest on other frames than the rest.
    """
    table = read_numeric(root, file)
    values = table.values
    finite = np.isfinite(values)
    partial = ~finite.all(axis=0) & ~np.isnan(values).all(axis=0)
    if not finite.all(axis=0).any():
        raise RefusedError(file, "No parcel has a complete time series, so nothing can be computed. Compute it anew.")
    if not partial.any():
        return ParcelSeries(table.columns, values, ())
    values = np.where(partial, np.nan, values)
    names = [table.columns[i] for i in np.flatnonzero(partial)]
    first = int(np.flatnonzero(~finite[:, np.flatnonzero(partial)[0]])[0])
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    problem = f"The series of {some} has missing or infinite frames; these parcels take no part."
    return ParcelSeries(table.columns, values, (Problem(file, first + 2, names[0], problem, "set_aside"),))


def read_relmat(root: Path, file: str) -> tuple[tuple[str, ...], Square]:
    """Read ``*_relmat.tsv`` or ``*_conmat.tsv``: Pearson correlations with labels in the first column and the header.

    Rows are ordered by the header's labels, whatever their order in the file. ``n/a`` is kept as NaN.
    """
    table = read_numeric(root, file, row_names=True)
    labels, rows, values = table.columns, table.rows, table.values
    check_labels(file, "", labels, values.shape)
    check_labels(file, "", rows, values.shape)
    if set(rows) != set(labels):
        other = min(set(rows) ^ set(labels))
        raise RefusedError(file, f"Rows and columns name different parcels (first: {other}). Compute it anew.")
    values = values[np.array([rows.index(label) for label in labels])] if rows != labels else values
    check_symmetric(file, "", labels, values)
    check_range(file, "", labels, values, -1.0, 1.0)
    off_diagonal = values[~np.eye(len(labels), dtype=bool)]
    if np.isnan(off_diagonal).all():
        raise RefusedError(file, "No pair of parcels has a correlation, so nothing can be computed. Compute it anew.")
    return labels, values


def read_coverage(root: Path, file: str, labels: Sequence[str]) -> Vector:
    """Read the fraction of each parcel inside the field of view, in the order of `labels`.

    One row per parcel (``Node``, ``coverage``; XCP-D), or one column per parcel and a single row. ``n/a`` is 0: the
    parcel is not in the image.
    """
    long = read_text(root, file).partition("\n")[0].count("\t") == 1
    table = read_numeric(root, file, row_names=long)
    names, numbers = (table.rows, table.values[:, 0]) if long else (table.columns, table.values[0])
    known = dict(zip(names, numbers.tolist(), strict=True))
    absent = [label for label in labels if label not in known]
    if absent:
        raise RefusedError(file, f"{len(absent)} parcels have no coverage (first: {absent[0]}); coverage is not used.")
    coverage = np.nan_to_num(np.array([known[label] for label in labels]), nan=0.0, posinf=np.inf, neginf=-np.inf)
    outside = ~((coverage >= 0) & (coverage <= 1 + 1e-6))
    if outside.any():
        label = labels[int(np.flatnonzero(outside)[0])]
        raise RefusedError(file, "Coverage must lie between 0 and 1; coverage is not used.", column=label)
    return np.minimum(coverage, 1.0)
