"""XCP-D's parcel series and correlation matrices, in every naming generation, as `Run`s.

=========== ==================================================== =====================================
version     series                                               matrix
=========== ==================================================== =====================================
up to 0.6   ``_atlas-A_timeseries.tsv``                          ``_measure-pearsoncorrelation_conmat``
0.7 to 0.14 ``_seg-A_stat-mean_timeseries.tsv``                  ``_stat-pearsoncorrelation_relmat``
26.x        ``_atlas-A_stat-mean_timeseries.tsv`` (or ``_den-``) ``_stat-pearsoncorrelation_relmat``
=========== ==================================================== =====================================

Where XCP-D joined the runs of a session, the runs' own series are read and the joined files are not: a run means the
same in every version, while joined runs are standardised first from 26.0.0 on. The joined level is used where no run has
a series that can be read; coverage and quality are then taken from its runs. Where one run was processed twice (another
space, version or configuration), the newest version is read: the same frames must not count twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from remanent._errors import Problem
from remanent._types import Mask, Series, Square, Vector
from remanent.study.derivatives.files import RefusedError, read_json
from remanent.study.derivatives.fmriprep import confounds_by_source, read_confounds
from remanent.study.derivatives.gates import Gate, Version, known_errors, version_number
from remanent.study.derivatives.parcels import ParcelSeries, read_coverage, read_relmat, read_series
from remanent.study.derivatives.scans import (
    SETTINGS,
    Scan,
    join_quality,
    read_motion,
    read_outliers,
    read_quality,
    repetition_time,
    role_of,
)
from remanent.study.index import DerivativeFile
from remanent.study.session import Pipeline, Run

T = TypeVar("T")
Source = frozenset[tuple[str, str]]
_Units = Mapping["_Key", Mapping[str, DerivativeFile]]

_DERIVED = frozenset({"space", "cohort", "res", "den", "atlas", "seg", "stat", "statistic", "measure", "desc", "hash"})
_PER_RUN = frozenset({"run", "dir"})


@dataclass(frozen=True, slots=True)
class _Key:
    """What makes parcel files belong together: dataset, BOLD run, space, atlas, and configuration."""

    dataset: str
    source: Source
    space: str
    atlas: str
    hash: str

    @property
    def joined(self) -> "_Key":
        """The same for the session's runs joined together."""
        return replace(self, source=_joined(self.source))


def _joined(source: Source) -> Source:
    return frozenset(item for item in source if item[0] not in _PER_RUN)


@dataclass(slots=True)
class _Reading:
    """What reading a session needs at hand and gathers: every refusal becomes a problem and a None."""

    root: Path
    files: Sequence[DerivativeFile]
    gates: Sequence[Gate] | None
    scans: Mapping[tuple[str, Source, str], Scan]
    problems: list[Problem] = field(default_factory=list)
    done: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def attempt(self, read: Callable[..., T], *arguments: Any) -> T | None:
        call = (read, *arguments)
        if call not in self.done:
            try:
                self.done[call] = read(self.root, *arguments)
            except RefusedError as refusal:
                self.report(refusal.problem)
                self.done[call] = None
        return self.done[call]

    def report(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def read_xcpd(
    root: Path, files: Sequence[DerivativeFile], *, atlas: str | None = None, gates: Sequence[Gate] | None = None
) -> tuple[list[Run], list[Problem]]:
    """Read one session's XCP-D files; fMRIPrep's among `files` fill in motion where XCP-D's is absent.

    Parameters
    ----------
    atlas
        Read this atlas only.
    gates
        Known errors in place of the shipped gates.yaml.
    """
    own = [file for file in files if file.kind == "xcpd"]
    reading = _Reading(root, files, gates, _scans(own))
    scans: dict[tuple[str, Source], dict[_Key, dict[_Key, dict[str, DerivativeFile]]]] = {}
    for file in own:
        role = _parcel_role(file)
        key = _key(file)
        if role and key.atlas and atlas in {None, key.atlas}:
            versions = scans.setdefault((key.atlas, key.joined.source), {})
            versions.setdefault(key.joined, {}).setdefault(key, {})[role] = file
    runs = [run for versions in scans.values() for run in _read_newest(reading, versions)]
    return runs, reading.problems


def _parcel_role(file: DerivativeFile) -> str | None:
    if file.extension != ".tsv":
        return None
    stat = file.entities.get("stat") or file.entities.get("measure")
    if file.suffix == "timeseries" and stat in {None, "mean"}:
        return "series"
    if file.suffix in {"relmat", "conmat"} and stat == "pearsoncorrelation" and "desc" not in file.entities:
        return "matrix"  # desc-<N>volumes holds a random part of the frames
    return "coverage" if file.suffix == "coverage" or (file.suffix == "bold" and stat == "coverage") else None


def _key(file: DerivativeFile) -> _Key:
    entities = file.entities
    space = "_".join(entities[name] for name in ("space", "cohort", "res") if name in entities)
    parcellation = entities.get("atlas") or entities.get("seg") or ""
    return _Key(_dataset(file), _source(file), space, parcellation, entities.get("hash", ""))


def _dataset(file: DerivativeFile) -> str:
    return file.path.split("/sub-")[0]


def _source(file: DerivativeFile) -> Source:
    return frozenset(item for item in file.entities.items() if item[0] not in _DERIVED)


def _scans(files: Iterable[DerivativeFile]) -> Mapping[tuple[str, Source, str], Scan]:
    """The files of each run by role; those without a configuration hash serve every configuration."""
    found: dict[tuple[str, Source], dict[str, dict[str, DerivativeFile]]] = {}
    for file in files:
        role = role_of(file)
        if role:
            by_hash = found.setdefault((_dataset(file), _source(file)), {})
            by_hash.setdefault(file.entities.get("hash", ""), {})[role] = file
    return {
        (*run, name): Scan({**by_hash.get("", {}), **roles})
        for run, by_hash in found.items()
        for name, roles in by_hash.items()
    }


def _read_newest(reading: _Reading, versions: Mapping[_Key, _Units]) -> list[Run]:
    """Read one session's runs on one atlas as processed last; set other versions of the same runs aside."""

    def age(joined: _Key) -> tuple[Version, str]:
        any_file = next(file for unit in versions[joined].values() for file in unit.values())
        return version_number(any_file.pipeline.version), joined.dataset

    runs: list[Run] = []
    for joined in sorted(sorted(versions, key=lambda key: (key.space, key.hash)), key=age, reverse=True):
        if not runs:
            runs = _read_level(reading, joined, versions[joined])
            continue
        paths = [file.path for unit in versions[joined].values() for role, file in unit.items() if role != "coverage"]
        if paths:
            why = f"This is another processing of {runs[0].source}, which is used; the same frames do not count twice."
            reading.report(Problem(min(paths), None, "", why, "set_aside"))
    return runs


def _read_level(reading: _Reading, joined: _Key, units: _Units) -> list[Run]:
    """Read the runs of one session on one atlas; where none has a usable series, the joined files, then matrices."""
    runs = _runs(reading, joined, units)
    with_series = [key for key in runs if "series" in units.get(key, {})]
    with_matrix = [key for key in runs if "matrix" in units.get(key, {}) and key not in with_series]
    for candidates in (with_series, [joined] if joined in units else [], with_matrix):
        found = []
        for key in candidates:
            parts = runs if runs and key == joined else [key]
            run = _read_run(reading, key, units[key], [(part, units.get(part, {})) for part in parts])
            found += [] if run is None else [run]
        if found:
            return found
    return []


def _runs(reading: _Reading, joined: _Key, units: _Units) -> list[_Key]:
    """The runs that `joined` joins, by their parcel files or by their motion alone; none if it is a run itself."""
    moved = {source for dataset, source, _ in reading.scans if dataset == joined.dataset}
    sources = {key.source for key in units} | {source for source in moved if _joined(source) == joined.source}
    return [replace(joined, source=source) for source in sorted(sources - {joined.source}, key=sorted)]


def _read_run(
    reading: _Reading,
    key: _Key,
    unit: Mapping[str, DerivativeFile],
    parts: Sequence[tuple[_Key, Mapping[str, DerivativeFile]]],
) -> Run | None:
    """Read one unit; `parts` are its runs where it is the joined level, else itself alone."""
    files = {role: file.path for role, file in unit.items()}
    series = reading.attempt(read_series, files["series"]) if "series" in files else None
    matrix = reading.attempt(read_relmat, files["matrix"]) if "matrix" in files else None
    if series is None and matrix is None:
        return None
    labels = series.labels if series else matrix[0] if matrix else ()
    first = unit.get("series") or unit["matrix"]
    scan = _scan(reading, key)
    pipeline = _pipeline(reading, first, key, scan, joined=[part for part, _ in parts] != [key])
    doubts = _doubts(reading, first.path, pipeline)
    if doubts is None:
        return None
    values, kept = _frames(reading, first.path, series, scan)
    n_full = len(kept) if kept is not None else None if values is None else len(values)
    run = Run(
        source=first.path,
        task=first.entities.get("task", ""),
        atlas=key.atlas,
        labels=labels,
        pipeline=pipeline,
        series=values,
        kept=kept,
        tr_s=_tr(reading, first, scan),
        relmat=_aligned(reading, files.get("matrix", ""), matrix, labels),
        coverage=_coverage(reading, labels, [roles["coverage"].path for _, roles in parts if "coverage" in roles]),
        fd_mm=_motion(reading, first, scan, n_full),
        quality=_quality(reading, [_scan(reading, part) for part, _ in parts]),
        doubts=doubts,
    )
    return None if run.series is None and run.relmat is None else run


def _scan(reading: _Reading, key: _Key) -> Scan:
    scans = reading.scans
    run = (key.dataset, key.source)
    return scans.get((*run, key.hash)) or scans.get((*run, "")) or Scan({})


def _pipeline(reading: _Reading, file: DerivativeFile, key: _Key, scan: Scan, *, joined: bool) -> Pipeline:
    known = dict(file.pipeline.settings)
    known["level"] = "concatenated" if joined else "run"
    if key.space:
        known["space"] = key.space
    if key.hash:
        known["configuration"] = key.hash
    for told in SETTINGS:
        try:
            known.update(told(reading.root, scan))
        except RefusedError as refusal:
            reading.report(refusal.problem)
    return replace(file.pipeline, settings=known)


def _doubts(reading: _Reading, source: str, pipeline: Pipeline) -> tuple[str, ...] | None:
    """The known errors of its versions, None if one of them forbids the use of the value."""
    errors = known_errors(pipeline, "function", reading.gates)
    for gate in errors:
        made = f"Made by {pipeline.name} {pipeline.version}."
        reading.report(Problem(source, None, "", f"{made} {gate.sentence}", gate.action))
    return None if any(gate.action == "refused" for gate in errors) else tuple(gate.sentence for gate in errors)


def _frames(
    reading: _Reading, source: str, series: ParcelSeries | None, scan: Scan
) -> tuple[Series | None, Mask | None]:
    """Series without censored frames, and the mask; their lengths tell whether the series is censored or interpolated."""
    outliers = scan.path("outliers")
    kept = None if outliers is None else reading.attempt(read_outliers, outliers)
    if series is None:
        return None, kept
    reading.problems.extend(series.problems)
    n_frames = len(series.values)
    if kept is None or n_frames == int(kept.sum()):
        return series.values, kept
    if n_frames == len(kept):
        return series.values[kept], kept
    why = (
        f"This series has {n_frames} frames, but {outliers} keeps {int(kept.sum())} of {len(kept)}: it is neither "
        "censored nor interpolated by it, so its frames have no place in time. Take both from one run of XCP-D"
    )
    reading.report(Problem(source, None, "", f"{why}.", "refused"))
    return None, None


def _tr(reading: _Reading, file: DerivativeFile, scan: Scan) -> float | None:
    tr_s, problems = repetition_time(_sidecars(reading, file, scan))
    reading.problems.extend(problems)
    return tr_s


def _sidecars(reading: _Reading, file: DerivativeFile, scan: Scan) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sidecars that may tell the repetition time: of series, images and motion; fMRIPrep's; the raw data's."""
    own = [file.path.removesuffix(".tsv") + ".json", scan.path("bold_sidecar"), scan.path("motion_sidecar")]
    source = _source(file)
    fmriprep = [
        other.path
        for other in reading.files
        if other.kind == "fmriprep"
        and other.extension == ".json"
        and other.suffix == "bold"
        and _source(other) == source
    ]
    folder = "/".join(part for part in file.path.split("/")[:-1] if part.startswith(("sub-", "ses-")))
    stem = "_".join(f"{name}-{value}" for name, value in file.entities.items() if name not in _DERIVED)
    raw = [f"{folder}/func/{stem}_bold.json", f"task-{file.entities.get('task', '')}_bold.json"]
    for path in [*own, *fmriprep, *raw]:
        if path is not None and (reading.root / path).is_file():
            sidecar = reading.attempt(read_json, path)
            yield path, sidecar or {}


def _aligned(
    reading: _Reading, file: str, matrix: tuple[tuple[str, ...], Square] | None, labels: tuple[str, ...]
) -> Square | None:
    """The matrix in the order of the series' labels."""
    if matrix is None or matrix[0] == labels:
        return None if matrix is None else matrix[1]
    if set(matrix[0]) != set(labels):
        why = "This matrix names other parcels than the series of the same run; the series is used alone."
        reading.report(Problem(file, None, "", why, "set_aside"))
        return None
    order = np.array([matrix[0].index(label) for label in labels])
    return matrix[1][np.ix_(order, order)]


def _coverage(reading: _Reading, labels: Sequence[str], files: Sequence[str]) -> Vector | None:
    """The smallest coverage over runs: a parcel outside the view in one run is doubtful in the whole."""
    found = [reading.attempt(read_coverage, file, labels) for file in files]
    known = [coverage for coverage in found if coverage is not None]
    return np.min(known, axis=0) if known else None


def _motion(reading: _Reading, file: DerivativeFile, scan: Scan, n_full: int | None) -> Vector | None:
    """Framewise displacement of the full run: XCP-D's, else fMRIPrep's without the volumes that XCP-D took off the start.

    The first volume has no predecessor; where it is missing, it is set to 0 as XCP-D does.
    """
    motion = scan.path("motion")
    if motion is not None:
        fd_mm = reading.attempt(read_motion, motion)
    else:
        confounds = confounds_by_source(reading.files).get(_source(file))
        motion = None if confounds is None else confounds.path
        read = None if motion is None else reading.attempt(read_confounds, motion)
        fd_mm = None if read is None else read.fd_mm
        if read is not None and fd_mm is not None and n_full == len(fd_mm) - read.non_steady_state:
            fd_mm = fd_mm[read.non_steady_state :]
    if motion is None or fd_mm is None:
        return None
    if n_full is not None and len(fd_mm) != n_full:
        why = (
            f"Motion has {len(fd_mm)} volumes, the run {n_full}; which belong together is not known, so it is not used."
        )
        reading.report(Problem(motion, None, "", why, "set_aside"))
        return None
    return np.nan_to_num(fd_mm, nan=0.0)


def _quality(reading: _Reading, scans: Sequence[Scan]) -> Mapping[str, float]:
    files = [path for path in (scan.path("quality") for scan in scans) if path is not None]
    parts = [reading.attempt(read_quality, path) for path in files]
    return join_quality(part for part in parts if part)
