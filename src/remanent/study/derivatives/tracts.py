"""QSIRecon's ``*_bundles-B_scalarstats.tsv``: means of diffusion scalars within bundles, one row a bundle and scalar."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from remanent._errors import Problem
from remanent.study.derivatives.files import RefusedError, number, read_text
from remanent.study.derivatives.gates import Gate, known_errors
from remanent.study.index import DerivativeFile
from remanent.study.session import Tracts

_MEANS = ("masked_weighted_mean", "weighted_mean", "masked_mean", "mean")  # the best first


def read_tracts(
    root: Path, files: Sequence[DerivativeFile], gates: Sequence[Gate] | None = None
) -> tuple[list[Tracts], list[Problem]]:
    """Read one session's bundle statistics, each scalar of each file by itself."""
    found: list[Tracts] = []
    problems: list[Problem] = []
    for file in files:
        if file.kind != "qsirecon" or file.suffix != "scalarstats" or "bundles" not in file.entities:
            continue
        if file.extension != ".tsv":
            continue
        errors = known_errors(file.pipeline, "connectome", gates)
        made = f"Made by {file.pipeline.name} {file.pipeline.version}."
        problems += [Problem(file.path, None, "", f"{made} {gate.sentence}", gate.action) for gate in errors]
        if any(gate.action == "refused" for gate in errors):
            continue
        try:
            scalars = _means(root, file.path)
        except RefusedError as refusal:
            problems.append(refusal.problem)
            continue
        doubts = tuple(gate.sentence for gate in errors)
        found += [Tracts(file.path, file.pipeline, scalar, mean, doubts) for scalar, mean in scalars.items()]
    return found, problems


def _means(root: Path, file: str) -> Mapping[str, Mapping[str, float]]:
    """Scalar to bundle to mean; a bundle without a mean is left out."""
    header, *lines = read_text(root, file).rstrip("\n").split("\n")
    names = [name.strip() for name in header.split("\t")]
    wanted = ["bundle", "variable_name", next((name for name in _MEANS if name in names), "mean")]
    lacking = next((name for name in wanted if name not in names), None)
    if lacking:
        raise RefusedError(file, "This table has no such column, so its means have no names.", row=1, column=lacking)
    at = [names.index(name) for name in wanted]
    found: dict[str, dict[str, float]] = {}
    for row, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(names):
            raise RefusedError(
                file, f"Expected {len(names)} cells, got {len(cells)}; the file may be cut off.", row=row
            )
        bundle, scalar, mean = (cells[i].strip() for i in at)
        value = number(file, mean, row, wanted[2])
        if bundle in found.get(scalar, {}):
            raise RefusedError(file, f"The {scalar} of {bundle} stands twice; which is meant is not known.", row=row)
        if not math.isnan(value):
            found.setdefault(scalar, {})[bundle] = value
    return found
