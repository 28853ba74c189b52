"""The index of a study's derivatives: one pass, names split into BIDS entities, files grouped by scan visit.

Nothing is opened but each dataset's dataset_description.json. Images, pages and figures are no part of it: only tables,
matrices and sidecars are, which a reader may open. Symbolic links are followed once: a folder reached a second time, or
a link that leads back to where it stands, is reported and not entered.
"""

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from remanent._errors import Action, Problem
from remanent.study.dataset import Dataset, Kind, describe
from remanent.study.session import Pipeline

_PARTICIPANT = re.compile(r"sub-(?P<sub>[0-9A-Za-z+]+)(?P<ses>)(?P<rest>)")
_FREESURFER_ID = re.compile(r"sub-(?P<sub>[0-9A-Za-z]+)(?:_ses-(?P<ses>[0-9A-Za-z+]+))?(?P<rest>.*)")
_SKIPPED = frozenset({"figures", "log", "logs", "code", "work", "atlases"})
_FREESURFER_FOLDERS = frozenset({"stats", "mri", "scripts"})
_FREESURFER_TEMPLATES = ("fsaverage", "cvs_avg", "bert", "V1_average", "lh.EC_average", "rh.EC_average")
_MEASURES = frozenset({"timeseries", "relmat", "conmat", "connectivity"})
_TABLES = frozenset({".tsv", ".csv", ".mat", ".txt"})
_OPENED = (*_TABLES, ".json")


@dataclass(frozen=True, slots=True)
class DerivativeFile:
    """One file of a derivative dataset.

    Attributes
    ----------
    path
        Relative to the study, with forward slashes.
    kind
        ``xcpd``, ``fmriprep``, ``qsirecon`` or ``freesurfer``: which reader understands it.
    pipeline
        Name and version of the program that made its dataset; shared by all files of that dataset.
    entities
        Every ``key-value`` of its name, keys as written (``sub``, ``ses``, ``task``, ``run``, ``space``, ``seg``,
        ``atlas``, ``den``, ``stat``, ``desc``, ``hash`` ...). FreeSurfer files have ``sub``, ``ses`` where there is
        one, and ``fsid``, the name of their subject folder.
    suffix, extension
        The part after the last underscore, and everything from the first full stop.
    """

    path: str
    kind: Kind
    pipeline: Pipeline
    entities: Mapping[str, str]
    suffix: str
    extension: str


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """The derivative files of one scan visit; `session_id` is empty where the study has no sessions."""

    participant_id: str
    session_id: str
    files: tuple[DerivativeFile, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """What `index_study` found."""

    sessions: tuple[SessionFiles, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to visit: where it is, its dataset, and the participant and session its path names."""

    path: str
    relative: str
    dataset: Dataset | None = None
    sub: str = ""
    ses: str = ""


def split_name(name: str) -> tuple[dict[str, str], str, str]:
    """Split a file name into entities, suffix and extension.

    >>> split_name("sub-01_task-rest_seg-4S456Parcels_stat-mean_timeseries.tsv")
    ({'sub': '01', 'task': 'rest', 'seg': '4S456Parcels', 'stat': 'mean'}, 'timeseries', '.tsv')
    """
    stem, dot, extension = name.partition(".")
    tokens = stem.split("_")
    suffix = "" if "-" in tokens[-1] else tokens.pop()
    return dict(map(_entity, tokens)), suffix, dot + extension


@lru_cache(maxsize=4096)  # names of one study share their entities
def _entity(token: str) -> tuple[str, str]:
    key, _, value = token.partition("-")
    return key, value


def index_study(root: Path, participants: Sequence[str] = ()) -> Index:
    """Index the derivatives of the study at `root`, all participants or those named (with or without ``sub-``)."""
    scan = _Scan(root, frozenset(p.removeprefix("sub-") for p in participants))
    scan.walk()
    sessions = _sessions(scan.files, scan.problems)
    return Index(tuple(sessions), tuple(scan.problems))


class _Scan:
    """One walk over STUDY/derivatives, collecting files and problems."""

    def __init__(self, root: Path, wanted: frozenset[str]) -> None:
        self.wanted = wanted
        self.files: list[DerivativeFile] = []
        self.problems: list[Problem] = []
        self._seen: set[tuple[int, int]] = set()
        self._queue: deque[_Folder] = deque()
        start = root / "derivatives"
        if os.path.lexists(start):
            self._queue.append(_Folder(str(start), "derivatives"))

    def walk(self) -> None:
        """Visit every folder; links to folders come last, so that a link never shadows what it points at."""
        while self._queue:
            folder = self._queue.pop()
            entries = self._entries(folder)
            if entries is not None:
                self._visit(folder, entries)

    def _entries(self, folder: _Folder) -> list[os.DirEntry[str]] | None:
        try:
            status = Path(folder.path).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                self._report(folder.relative, "is a link to a folder read already; it is not read twice")
                return None
            self._seen.add(identity)
            with os.scandir(folder.path) as listing:
                return [entry for entry in listing if entry.name.isascii() or self._decodable(folder, entry.name)]
        except OSError as error:
            why = f"cannot be read ({error.strerror or error}); its files take no part. Check its permissions"
            self._report(folder.relative, why, "refused")
            return None

    def _visit(self, folder: _Folder, entries: list[os.DirEntry[str]]) -> None:
        dataset = folder.dataset if folder.sub else self._dataset(folder, entries)
        add = self._add_freesurfer if dataset and dataset.kind == "freesurfer" else self._add
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self._enter(folder, entry.name, dataset, linked=False)
            elif entry.is_symlink() and _leads_to_folder(entry):
                self._enter(folder, entry.name, dataset, linked=True)
            elif dataset and folder.sub:
                add(folder, entry.name, dataset)

    def _dataset(self, folder: _Folder, entries: list[os.DirEntry[str]]) -> Dataset | None:
        described = any(entry.name == "dataset_description.json" for entry in entries)
        people = any(entry.name.startswith("sub-") for entry in entries)
        dataset, problems = describe(Path(folder.path), folder.relative, described=described, people=people)
        self.problems.extend(problems)
        return dataset if dataset or described else folder.dataset

    def _enter(self, parent: _Folder, name: str, dataset: Dataset | None, *, linked: bool) -> None:
        if name.startswith(".") or name in _SKIPPED:
            return
        if name == "sourcedata":
            dataset = None  # of what lies there, only a dataset with a name of its own is read: sourcedata/freesurfer
        who = self._who(parent, name, dataset)
        if who is None:
            return
        folder = _Folder(f"{parent.path}/{name}", f"{parent.relative}/{name}", dataset, *who)
        if linked:
            self._queue.appendleft(folder)
        else:
            self._queue.append(folder)

    def _who(self, parent: _Folder, name: str, dataset: Dataset | None) -> tuple[str, str] | None:
        """Participant and session labels that the path names so far; empty: none yet; None: not to be entered."""
        freesurfer = dataset is not None and dataset.kind == "freesurfer"
        if parent.sub:
            if freesurfer and name not in _FREESURFER_FOLDERS:
                return None
            return parent.sub, name[4:] if name.startswith("ses-") else parent.ses
        if not (freesurfer or name.startswith("sub-")):
            return "", ""
        if dataset is None or name.startswith(_FREESURFER_TEMPLATES):
            return None
        return self._participant(f"{parent.relative}/{name}", name, freesurfer=freesurfer)

    def _participant(self, relative: str, name: str, *, freesurfer: bool) -> tuple[str, str] | None:
        match = _FREESURFER_ID.fullmatch(name) if freesurfer else _PARTICIPANT.fullmatch(name)
        if match is None:
            self._report(relative, "is not named sub-<letters and digits>; whose it is is unknown, so it takes no part")
            return None
        sub, ses = match["sub"], match["ses"] or ""
        if self.wanted and sub not in self.wanted:
            return None
        one_visit = "+" not in ses and (not match["rest"] or match["rest"].startswith(".long."))
        return (sub, ses) if one_visit else (sub, "")

    def _add(self, folder: _Folder, name: str, dataset: Dataset) -> None:
        if not name.endswith(_OPENED):
            return
        entities, suffix, extension = split_name(name)
        sub, ses = entities.get("sub"), entities.get("ses", "")
        path = f"{folder.relative}/{name}"
        if sub == folder.sub and ses == folder.ses:
            self.files.append(DerivativeFile(path, dataset.kind, dataset.pipeline, entities, suffix, extension))
        elif sub is not None and suffix and extension in _TABLES:
            self._report(path, "names another participant or session than its folder does; it takes no part")

    def _add_freesurfer(self, folder: _Folder, name: str, dataset: Dataset) -> None:
        parent, _, inner = folder.relative.rpartition("/")
        if inner not in _FREESURFER_FOLDERS or not name.endswith((".stats", ".txt")):
            return
        entities = {"sub": folder.sub, "fsid": parent.rpartition("/")[2]}
        if folder.ses:
            entities["ses"] = folder.ses
        stem, dot, extension = name.rpartition(".")
        path = f"{folder.relative}/{name}"
        self.files.append(DerivativeFile(path, dataset.kind, dataset.pipeline, entities, stem, dot + extension))

    def _decodable(self, folder: _Folder, name: str) -> bool:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode(errors="backslashreplace").decode()
            self._report(f"{folder.relative}/{shown}", "has a name that is not UTF-8; it takes no part. Rename it")
            return False
        return True

    def _report(self, file: str, problem: str, action: Action = "set_aside") -> None:
        self.problems.append(Problem(file, None, "", f"This file or folder {problem}.", action))


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a link to itself
        return False


def _sessions(files: Iterable[DerivativeFile], problems: list[Problem]) -> list[SessionFiles]:
    """Group files by participant and session; what belongs to a person and not to a visit goes where it is needed."""
    people: dict[str, dict[str, list[DerivativeFile]]] = {}
    for file in files:
        people.setdefault(file.entities["sub"], {}).setdefault(file.entities.get("ses", ""), []).append(file)
    found = []
    for sub, visits in sorted(people.items()):
        if "" in visits and len(visits) > 1:
            problems.extend(_share(visits.pop(""), visits))
        for ses, own in sorted(visits.items()):
            own.sort(key=lambda file: file.path)
            found.append(SessionFiles(f"sub-{sub}", f"ses-{ses}" if ses else "", tuple(own)))
    return found


def _share(common: list[DerivativeFile], visits: Mapping[str, list[DerivativeFile]]) -> Iterator[Problem]:
    """Give a person's FreeSurfer files to visits: a base template to its `.long` visits, an anatomy to an only visit."""
    anatomies: dict[str, list[DerivativeFile]] = {}
    for file in common:
        if file.kind == "freesurfer":
            anatomies.setdefault(file.path.rsplit("/", 2)[0], []).append(file)
        elif file.suffix in _MEASURES and file.extension in _TABLES:
            yield _no_visit(
                file.path,
                "file has no session in its name though this participant has sessions",
                "Process the data session by session",
            )
    for folder, files in anatomies.items():
        users = _users(files[0].entities["fsid"], list(visits.values()))
        for own in users:
            own.extend(files)
        if not users:
            yield _no_visit(
                folder,
                "folder is one anatomy for several visits, from which no change over time can be read",
                "Run FreeSurfer per session or its longitudinal stream",
            )


def _users(fsid: str, visits: Sequence[list[DerivativeFile]]) -> list[list[DerivativeFile]]:
    """The visits whose longitudinal stream rests on the template `fsid`; else an only visit without its own anatomy."""

    def anatomies(visit: list[DerivativeFile]) -> list[str]:
        return [file.entities["fsid"] for file in visit if file.kind == "freesurfer"]

    users = [visit for visit in visits if any(own.endswith(f".long.{fsid}") for own in anatomies(visit))]
    return users or [visit for visit in visits if len(visits) == 1 and not anatomies(visit)]


def _no_visit(path: str, what: str, remedy: str) -> Problem:
    return Problem(path, None, "", f"This {what}, so it belongs to no visit and takes no part. {remedy}.", "set_aside")
