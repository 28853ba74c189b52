"""Files that appear whole or not at all, and arrays as Parquet named by their content."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from remanent._errors import InputError, UsageError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks sees the old content or the new, never a part; equal content is left alone.

    Raises
    ------
    InputError
        The file cannot be written (full disk, no permission).
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        do = "Check the disk and permissions."
        raise InputError(f"cannot write: {error.strerror}", where=str(path), do=do) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parquet(columns: Mapping[str, np.ndarray]) -> bytes:
    """Arrays with the same first axis as one Parquet file; further axes are kept as Arrow's fixed-shape tensors."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = {name: _arrow(_whole(values)) for name, values in columns.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(made), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def write_draws(folder: Path, name: str, values: Mapping[str, np.ndarray]) -> Path:
    """Write ``<name>.<hash>.parquet``; a file of that name is never changed, so what refers to it stays true."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(f"{name!r} is no name for draws", do="Use letters, digits, - and _.")
    content = parquet(values)
    path = folder / f"{name}.{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    write_whole(path, content)
    return path


def remove_superseded(path: Path) -> None:
    """Remove the other files of the same name as `path`."""
    name = path.name.split(".")[0]
    for other in path.parent.glob(f"{name}.*.parquet"):
        if other != path:
            other.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file written by `parquet`."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).combine_chunks()
    return {name: _numpy(table.column(name)) for name in table.column_names}


def _whole(values: np.ndarray) -> np.ndarray:
    """A copy in memory's order; NumPy calls a single column contiguous whatever its strides, Arrow does not."""
    return np.array(values, order="C")


def _arrow(values: np.ndarray) -> Any:
    import pyarrow as pa

    if values.ndim > 1:
        return pa.FixedShapeTensorArray.from_numpy_ndarray(values)
    return pa.array(values.tolist(), pa.string()) if values.dtype == object else pa.array(values)


def _numpy(column: Any) -> np.ndarray:
    import pyarrow as pa

    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0)
    if isinstance(values, pa.FixedShapeTensorArray):
        return values.to_numpy_ndarray()
    return values.to_numpy(zero_copy_only=False)
