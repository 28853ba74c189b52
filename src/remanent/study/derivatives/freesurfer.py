"""FreeSurfer's numbers: ``*.stats`` tables and hippocampal and amygdala subfields, cross-sectional and longitudinal.

Head size in the longitudinal stream is the base template's: it is one number per person, so that a change of a ratio is a
change of the structure (https://surfer.nmr.mgh.harvard.edu/fswiki/LongitudinalProcessing).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from remanent._errors import Problem
from remanent.study.dataset import UNKNOWN_VERSION
from remanent.study.derivatives.files import RefusedError, read_text
from remanent.study.derivatives.gates import Gate, known_errors, version_number
from remanent.study.index import DerivativeFile
from remanent.study.session import Morphometry, Pipeline

_SUBFIELDS = re.compile(r"(?:hipposubfields|amygdalar-nuclei)\.(?P<hemi>[lr]h)\.(?P<kind>.+)")
_OLD_SUBFIELDS = re.compile(r"(?P<hemi>[lr]h)\.(?:hippoSfVolumes|amygNucVolumes)-(?P<kind>.+)")
_MAIN = frozenset({"aseg", "brainvol", "lh.aparc", "rh.aparc"})


@dataclass(frozen=True, slots=True)
class Stats:
    """One stats file: header measures (name to value and unit), table (structure to column to value), version if stated."""

    measures: Mapping[str, tuple[float, str]]
    table: Mapping[str, Mapping[str, float]]
    version: str


def read_stats(root: Path, file: str, *, has_table: bool = True) -> Stats:
    """Read a ``*.stats`` file of FreeSurfer: ``# Measure`` lines, ``# ColHeaders``, and the table below, if it has one."""
    measures: dict[str, tuple[float, str]] = {}
    table: dict[str, dict[str, float]] = {}
    columns: list[str] = []
    version, n_rows = "", None
    for row, line in enumerate(read_text(root, file).split("\n"), start=1):
        head, _, rest = line.lstrip("# ").partition(" ")
        if not line.startswith("#"):
            if line.strip():
                name, values = _table_row(file, line.split(), columns, row)
                table[name] = values
        elif head == "Measure":
            name, measure = _measure(file, rest, row)
            measures[name] = measure
        elif head == "ColHeaders":
            columns = rest.split()
        elif head == "NRows":
            n_rows = int(_finite(file, rest.strip(), row, "NRows"))
        elif head == "cvs_version":
            version = _version(rest)
    if not (measures or table):
        raise RefusedError(file, "This stats file holds no number. Run FreeSurfer's last step anew.")
    if (has_table and not table) or n_rows not in {None, len(table)}:
        why = f"This stats file is cut off: {len(table)} rows of its table are there, {n_rows or 'more'} were written"
        raise RefusedError(file, f"{why}. Copy it anew.")
    return Stats(measures, table, version)


def read_volumes(root: Path, file: str) -> Mapping[str, float]:
    """Read the subfield volumes (mm³) of FreeSurfer 6 and 7.1: one name and one number per line."""
    volumes = {}
    for row, line in enumerate(read_text(root, file).rstrip("\n").split("\n"), start=1):
        name, _, number = line.strip().rpartition(" ")
        if not name:
            raise RefusedError(file, "Expected a name and a volume.", row=row)
        volumes[name.strip()] = _not_negative(file, number, row, name)
    return volumes


def read_freesurfer(
    root: Path, files: Sequence[DerivativeFile], gates: Sequence[Gate] | None = None
) -> tuple[list[Morphometry], list[Problem]]:
    """Read one session's FreeSurfer folder, the longitudinal one where there are both; base templates give head size only."""
    subjects: dict[str, dict[str, DerivativeFile]] = {}
    for file in files:
        if file.kind == "freesurfer":
            folder = file.path.rsplit("/", 2)[0]
            subjects.setdefault(folder, {})[file.path[len(folder) + 1 :]] = file
    longitudinal = sorted(folder for folder in subjects if ".long." in folder)
    bases = {folder.rsplit("/", 1)[0] + "/" + folder.rpartition(".long.")[2] for folder in longitudinal}
    found: list[Morphometry] = []
    problems: list[Problem] = []
    for folder in longitudinal or sorted(set(subjects) - bases):
        base = folder.rsplit("/", 1)[0] + "/" + folder.rpartition(".long.")[2]
        one, faults = _read_subject(root, folder, subjects[folder], subjects.get(base, {}), gates)
        problems += faults
        found += [] if one is None else [one]
    found.sort(key=lambda one: version_number(one.pipeline.version), reverse=True)
    for other in found[1:]:
        why = f"This is another processing of {found[0].source}, whose version is the newest and which is used."
        problems.append(Problem(other.source, None, "", why, "set_aside"))
    return found[:1], problems


def _read_subject(
    root: Path,
    folder: str,
    files: Mapping[str, DerivativeFile],
    base: Mapping[str, DerivativeFile],
    gates: Sequence[Gate] | None,
) -> tuple[Morphometry | None, list[Problem]]:
    problems: list[Problem] = []
    stats: dict[str, Stats] = {}
    for name in sorted(_MAIN):
        if f"stats/{name}.stats" in files:
            try:
                path = files[f"stats/{name}.stats"].path
                stats[name] = read_stats(root, path, has_table=name != "brainvol")
            except RefusedError as refusal:
                problems.append(refusal.problem)
    volumes = {**_volumes(stats), **dict(_subfields(root, files, problems))}
    thickness = {
        f"{hemi}.{name}": values["ThickAvg"]
        for hemi in ("lh", "rh")
        for name, values in (stats[f"{hemi}.aparc"].table.items() if f"{hemi}.aparc" in stats else ())
        if "ThickAvg" in values
    }
    if not volumes and not thickness:
        return None, problems
    longitudinal = ".long." in folder
    pipeline = _pipeline(root, files, stats, problems, longitudinal=longitudinal)
    errors = known_errors(pipeline, "morphometry", gates)
    for gate in errors:
        made = f"Made by {pipeline.name} {pipeline.version}."
        problems.append(Problem(folder, None, "", f"{made} {gate.sentence}", gate.action))
    if any(gate.action == "refused" for gate in errors):
        return None, problems
    etiv_mm3 = _head_size(root, folder, stats, base if longitudinal else None, problems)
    doubts = tuple(gate.sentence for gate in errors)
    return Morphometry(folder, pipeline, volumes, thickness, etiv_mm3, longitudinal, doubts), problems


def _volumes(stats: Mapping[str, Stats]) -> dict[str, float]:
    """Volumes (mm³): of the header by short name (``BrainSegVol``), of aseg by structure, of the cortex as ``lh.insula``."""
    volumes = {}
    for name in ("lh.aparc", "rh.aparc", "brainvol", "aseg"):
        if name in stats:
            volumes.update({key: value for key, (value, unit) in stats[name].measures.items() if unit == "mm^3"})
    for name, one in stats.items():
        column, prefix = ("GrayVol", name[:3]) if name.endswith("aparc") else ("Volume_mm3", "")
        volumes.update({prefix + key: values[column] for key, values in one.table.items() if column in values})
    return volumes


def _subfields(root: Path, files: Mapping[str, DerivativeFile], problems: list[Problem]) -> Iterator[tuple[str, float]]:
    """Subfield and nucleus volumes as ``lh.Whole_hippocampus``; of several segmentations the best by `_rank`, worst first."""
    found = []
    for path, file in files.items():
        inner, _, name = path.partition("/")
        pattern = _SUBFIELDS if inner == "stats" else _OLD_SUBFIELDS
        match = pattern.fullmatch(name.removesuffix(file.extension))
        if match and file.extension == {"stats": ".stats", "mri": ".txt"}.get(inner):
            found.append((_rank(match["kind"], inner), match["hemi"], file.path))
    for _, hemi, path in sorted(found):
        try:
            if path.endswith(".stats"):
                table = read_stats(root, path).table
                volumes = {name: values["Volume_mm3"] for name, values in table.items() if "Volume_mm3" in values}
            else:
                volumes = dict(read_volumes(root, path))
        except RefusedError as refusal:
            problems.append(refusal.problem)
            continue
        yield from ((f"{hemi}.{name}", volume) for name, volume in volumes.items())


def _rank(kind: str, folder: str) -> tuple[bool, bool, tuple[int, ...], bool]:
    """Order of segmentations, best last: longitudinal, from T1 alone, newer version, the stats file."""
    version = re.search(r"v(\d+)", kind)
    number = (int(version[1][:9]),) if version else ()
    return ".long" in kind, kind.startswith("T1") and "T2" not in kind, number, folder == "stats"


def _head_size(
    root: Path,
    folder: str,
    stats: Mapping[str, Stats],
    base: Mapping[str, DerivativeFile] | None,
    problems: list[Problem],
) -> float | None:
    """Estimated total intracranial volume (mm³); of the base template in the longitudinal stream, else of the session."""
    if base is not None:
        for name in ("aseg", "lh.aparc", "rh.aparc"):
            file = base.get(f"stats/{name}.stats")
            try:
                own = None if file is None else read_stats(root, file.path, has_table=False).measures.get("eTIV")
            except RefusedError as refusal:
                problems.append(refusal.problem)
                continue
            if own is not None:
                return own[0]
        why = "The base template of this longitudinal session has no eTIV; the session's own is used, which may vary"
        problems.append(Problem(folder, None, "eTIV", f"{why}.", "used"))
    for name in ("aseg", "lh.aparc", "rh.aparc"):
        if name in stats and "eTIV" in stats[name].measures:
            return stats[name].measures["eTIV"][0]
    return None


def _pipeline(
    root: Path,
    files: Mapping[str, DerivativeFile],
    stats: Mapping[str, Stats],
    problems: list[Problem],
    *,
    longitudinal: bool,
) -> Pipeline:
    """FreeSurfer's version: of the build stamp, else of a stats header, else of the dataset's description."""
    any_file = next(iter(files.values()))
    version = ""
    if "scripts/build-stamp.txt" in files:
        try:
            version = _stamped(root, files["scripts/build-stamp.txt"].path)
        except RefusedError as refusal:
            problems.append(replace(refusal.problem, action="used"))
    version = version or next((one.version for one in stats.values() if one.version), "")
    described = any_file.pipeline
    if not version and described.version != UNKNOWN_VERSION:
        version = described.version
    stream = "longitudinal" if longitudinal else "cross-sectional"
    settings = {**described.settings, "stream": stream}
    return replace(described, version=version or UNKNOWN_VERSION, settings=settings)


def _stamped(root: Path, file: str) -> str:
    version = _version(read_text(root, file))
    if not version:
        raise RefusedError(file, "This build stamp names no release, so visits cannot be compared by version.")
    return version


def _version(text: str) -> str:
    """A FreeSurfer version in a build stamp or header: ``7.4.1``; the CVS numbers of single files do not count."""
    match = None if "$Id" in text else re.search(r"(?<![\d.])(\d+\.\d+(?:\.\d+)?)(?![\d.])", text)
    return match[1] if match else ""


def _measure(file: str, text: str, row: int) -> tuple[str, tuple[float, str]]:
    """``Cortex, CortexVol, Total cortical gray matter volume, 454587.696158, mm^3``; FreeSurfer 6 forgets a comma there."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 4 or not parts[1]:
        raise RefusedError(file, "This measure line is not complete. Run FreeSurfer's last step anew.", row=row)
    return parts[1].split()[0], (_finite(file, parts[-2], row, parts[1]), parts[-1])


def _table_row(file: str, cells: Sequence[str], columns: Sequence[str], row: int) -> tuple[str, dict[str, float]]:
    if "StructName" not in columns:
        raise RefusedError(
            file, "This table has no ColHeaders line with StructName, so its numbers have no names.", row=row
        )
    if len(cells) != len(columns):
        why = f"Expected {len(columns)} cells, got {len(cells)}; the file may be cut off."
        raise RefusedError(file, why, row=row)
    named = dict(zip(columns, cells, strict=True))
    name = named.pop("StructName")
    values = {column: _finite(file, cell, row, column) for column, cell in named.items()}
    for column in ("Volume_mm3", "GrayVol", "ThickAvg"):
        if values.get(column, 0.0) < 0:
            raise RefusedError(file, f"The {column} of {name} is negative.", row=row, column=column)
    return name, values


def _not_negative(file: str, cell: str, row: int, column: str) -> float:
    number = _finite(file, cell, row, column)
    if number < 0:
        raise RefusedError(file, "A volume cannot be negative.", row=row, column=column)
    return number


def _finite(file: str, cell: str, row: int, column: str) -> float:
    try:
        number = float(cell) if cell.isascii() and "_" not in cell else np.nan
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        shown = cell if len(cell) <= 20 else cell[:20] + "..."
        raise RefusedError(file, f"Expected a number, got '{shown}'.", row=row, column=column)
    return number
