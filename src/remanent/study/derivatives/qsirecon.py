"""QSIRecon's structural connectomes: ``*_connectivity.mat`` (MATLAB 5), every atlas and measure in it, by label.

Keys per atlas A: ``atlas_A_region_labels`` (padded text or cells), ``atlas_A_region_ids``, ``atlas_A_<measure>_connectivity``.
MRtrix3 measures: ``sift_invnodevol_radius2_count``, ``sift_radius2_count``, ``radius2_count``, ``radius2_meanlength``;
DSI Studio: ``{count,ncount,mean_length,gfa}_{pass,end}``. SIFT2-weighted counts are in arbitrary units until they are
multiplied by the proportionality coefficient mu of their own tractogram (``*_model-sift2_mu.txt``), as MRtrix3 documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from remanent._errors import Problem
from remanent._types import Square
from remanent.study.derivatives.files import RefusedError, read_bytes, read_text
from remanent.study.derivatives.gates import Gate, known_errors
from remanent.study.derivatives.mat5 import DamagedError, read_mat5
from remanent.study.derivatives.matrices import check_labels, check_range, check_symmetric
from remanent.study.index import DerivativeFile
from remanent.study.session import Connectome, Pipeline

_DERIVED = frozenset({"space", "model", "desc"})


def read_qsirecon(
    root: Path, files: Sequence[DerivativeFile], *, atlas: str | None = None, gates: Sequence[Gate] | None = None
) -> tuple[list[Connectome], list[Problem]]:
    """Read one session's connectomes, each measure of each atlas by itself.

    Parameters
    ----------
    atlas
        Read this atlas only.
    gates
        Known errors in place of the shipped gates.yaml.
    """
    connectomes: list[Connectome] = []
    problems: list[Problem] = []
    mus = {_source(file): file.path for file in files if _is_mu(file)}
    for file in files:
        if file.kind == "qsirecon" and file.suffix == "connectivity" and file.extension == ".mat":
            for found in _read_file(root, file, mus.get(_source(file)), atlas, gates):
                if isinstance(found, Connectome):
                    connectomes.append(found)
                else:
                    problems.append(found)
    return connectomes, problems


def _is_mu(file: DerivativeFile) -> bool:
    return file.kind == "qsirecon" and file.suffix == "mu" and file.entities.get("model") == "sift2"


def _source(file: DerivativeFile) -> tuple[str, frozenset[tuple[str, str]]]:
    """The tractogram a file belongs to: its dataset, and its name without space and model."""
    return file.path.split("/sub-")[0], frozenset(item for item in file.entities.items() if item[0] not in _DERIVED)


def _read_file(
    root: Path, file: DerivativeFile, mu_file: str | None, atlas: str | None, gates: Sequence[Gate] | None
) -> Iterator[Connectome | Problem]:
    mu = None
    try:
        content = _load(root, file.path, atlas)
        mu = None if mu_file is None else _mu(root, mu_file)
    except RefusedError as refusal:
        yield refusal.problem
        if refusal.problem.file == file.path:
            return
    if atlas is None and not any(_matrices(content)):
        why = "This file holds no atlas_<name>_<measure>_connectivity, so no connectome. Compute it anew."
        yield Problem(file.path, None, "", why, "refused")
    if mu_file is None and any(_sift2(measure) for _, measure, _, _ in _matrices(content)):
        why = "There is no SIFT2 mu beside these weights, so their scale differs between scans; only shares can be compared"
        yield Problem(file.path, None, "mu", f"{why}. Keep *_model-sift2_mu.txt.", "used")
    reported: set[Problem] = set()
    for name, measure, values, labels in _matrices(content):
        pipeline = _pipeline(file, name, measure)
        errors = known_errors(pipeline, "connectome", gates)
        made = f"Made by {pipeline.name} {pipeline.version}."
        for gate in errors:
            problem = Problem(file.path, None, "", f"{made} {gate.sentence}", gate.action)
            if problem not in reported:
                reported.add(problem)
                yield problem
        if any(gate.action == "refused" for gate in errors):
            continue
        try:
            kept, weights = _checked(file.path, f"atlas_{name}_{measure}_connectivity", labels, values)
        except RefusedError as refusal:
            yield refusal.problem
            continue
        scaled = mu is not None and _sift2(measure)
        yield Connectome(
            source=file.path,
            atlas=name,
            labels=kept,
            measure=measure,
            pipeline=pipeline,
            weights=weights * mu if scaled and mu is not None else weights,
            mu_applied=scaled,
            doubts=tuple(gate.sentence for gate in errors),
        )


def _load(root: Path, file: str, atlas: str | None) -> Mapping[str, Any]:
    """The variables of a MATLAB 5 file, of one atlas if named."""
    content = read_bytes(root, file)
    if content[:4] == b"\x89HDF" or b"MATLAB 7.3" in content[:128]:
        why = "This is a MATLAB 7.3 (HDF5) file; QSIRecon writes MATLAB 5. Save it again with -v6 or -v7"
        raise RefusedError(file, f"{why}.")
    start = "atlas_" if atlas is None else f"atlas_{atlas}_"
    try:
        return read_mat5(content, lambda name: name.startswith(start))
    except DamagedError as error:
        why = f"This is not a whole MATLAB 5 file ({error}). Copy or compute it anew."
        raise RefusedError(file, why) from error


def _sift2(measure: str) -> bool:
    """Whether a measure is a sum of SIFT2 weights, which are in units of 1/mu; means of lengths do not depend on it."""
    return measure.startswith("sift") and measure.endswith("count")


def _mu(root: Path, file: str) -> float:
    try:
        mu = float(read_text(root, file).strip())
    except ValueError:
        mu = np.nan
    if not (np.isfinite(mu) and mu > 0):
        why = "SIFT2's mu must be one positive number; the connectomes of this tractogram are used without it."
        raise RefusedError(file, why)
    return mu


def _matrices(content: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, tuple[str, ...]]]:
    """Atlas, measure, values and labels of every ``atlas_A_<measure>_connectivity``, atlas names being known by their labels."""
    labels = {
        key.removeprefix("atlas_").removesuffix("_region_labels"): _labels(value)
        for key, value in content.items()
        if key.startswith("atlas_") and key.endswith("_region_labels")
    }
    for key, value in content.items():
        if not (key.startswith("atlas_") and key.endswith("_connectivity")):
            continue
        rest = key.removeprefix("atlas_").removesuffix("_connectivity")
        atlas = max((name for name in labels if rest.startswith(f"{name}_")), key=len, default="")
        if atlas:
            yield atlas, rest.removeprefix(f"{atlas}_"), value, labels[atlas]
        else:
            first, _, measure = rest.partition("_")
            yield first, measure, value, ()


def _labels(value: Any) -> tuple[str, ...]:
    """Labels out of padded rows of text, or of cells as deep as they are nested."""
    if isinstance(value, list):
        return tuple(label for part in value for label in _labels(part))
    return (value.strip() if isinstance(value, str) else "",)


def _checked(file: str, name: str, labels: Sequence[str], values: Any) -> tuple[tuple[str, ...], Square]:
    """Weights as finite, symmetric, non-negative numbers; a parcel that is missing throughout is left out."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise RefusedError(file, "This variable does not hold numbers. Compute it anew.", column=name)
    if not labels:
        raise RefusedError(file, "This matrix has no labels, so it is not known which parcel a row is.", column=name)
    check_labels(file, name, labels, values.shape)
    weights = values.astype(np.float64)
    missing = np.isnan(weights)
    present = np.logical_not(missing.all(axis=0) & missing.all(axis=1))
    weights = weights[np.ix_(present, present)]
    kept = tuple(label for label, there in zip(labels, present.tolist(), strict=True) if there)
    if not kept:
        raise RefusedError(file, "This matrix is missing throughout. Compute it anew.", column=name)
    check_symmetric(file, name, kept, weights)
    if np.isnan(weights).any():
        row, column = np.argwhere(np.isnan(weights))[0]
        raise RefusedError(file, f"The entry {kept[row]}, {kept[column]} is missing. Compute it anew.", column=name)
    check_range(file, name, kept, weights, 0.0, np.inf)
    return kept, weights


def _pipeline(file: DerivativeFile, atlas: str, measure: str) -> Pipeline:
    """The maker with what changes values: ``tool`` (mrtrix, dsistudio), ``reconstruction`` (the dataset's suffix), ``space``."""
    dataset = file.path.split("/sub-")[0].rsplit("/", 1)[-1]
    known = {**file.pipeline.settings, "atlas": atlas}
    if "-" in dataset:
        known["reconstruction"] = dataset.split("-", 1)[1]
    if "space" in file.entities:
        known["space"] = file.entities["space"]
    if measure.endswith(("_pass", "_end")) or "dsistudio" in dataset.lower():
        known["tool"] = "dsistudio"
    elif "radius" in measure or "mrtrix" in dataset.lower():
        known["tool"] = "mrtrix"
    return replace(file.pipeline, settings=known)
