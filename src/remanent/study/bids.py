"""A BIDS study on disk: its tables, the index of its derivatives, and one session's derivatives as arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from remanent._errors import Problem
from remanent.study.derivatives.files import RefusedError, read_json
from remanent.study.derivatives.freesurfer import read_freesurfer
from remanent.study.derivatives.gates import Gate
from remanent.study.derivatives.qsirecon import read_qsirecon
from remanent.study.derivatives.tracts import read_tracts
from remanent.study.derivatives.xcpd import read_xcpd
from remanent.study.index import DerivativeFile, SessionFiles, index_study
from remanent.study.rules import DoubtDose
from remanent.study.session import SessionData
from remanent.study.table import Study, Table
from remanent.study.tables import read_tables
from remanent.study.whose import with_participants

__all__ = ["DerivativeFile", "SessionFiles", "atlases_named", "load_session", "read_study"]


def read_study(
    root: Path,
    participants: Sequence[str] = (),
    known_drugs: Callable[[str], bool] | None = None,
    suggest_drug: Callable[[str], str | None] | None = None,
    doubt_dose: DoubtDose | None = None,
) -> Study:
    """Read a study's tables, index its derivatives, and join the two by participant and session.

    Parameters
    ----------
    root
        The study's folder.
    participants
        Only these, with or without ``sub-``; all if empty.
    known_drugs, suggest_drug
        Whether a drug can be turned into exposure, and the nearest known name; None: every drug is accepted.
    doubt_dose
        What speaks against a dose, as `rules.Context` says; None: every dose is accepted.

    Raises
    ------
    InputError
        There is no study here.
    UsageError
        A participant was asked for who is not in the study.
    """
    tables, problems = read_tables(root, participants, known_drugs, suggest_drug, doubt_dose)
    index = index_study(root, participants)
    description, said = _description(root)
    sessions, lost = _joined(index.sessions, tables["participants"], tables["sessions"])
    people = set(tables["participants"]["participant_id"].tolist())
    found = with_participants((*said, *problems, *index.problems, *lost), root, people)
    return Study(root, description, tables, sessions, found)


def _description(root: Path) -> tuple[Mapping[str, Any], list[Problem]]:
    try:
        return read_json(root, "dataset_description.json"), []
    except RefusedError as refusal:
        why = f"{refusal.problem.problem} The study has no name in the report without it."
        return {}, [Problem("dataset_description.json", None, "", why, "used")]


def _joined(
    sessions: Iterable[SessionFiles], people: Table, visits: Table
) -> tuple[tuple[SessionFiles, ...], list[Problem]]:
    """The sessions of known participants; one without a day is kept, and said to stand nowhere in time."""
    known = set(people["participant_id"].tolist())
    dated = set(zip(visits["participant_id"].tolist(), visits["session_id"].tolist(), strict=True))
    kept: list[SessionFiles] = []
    problems: list[Problem] = []
    for session in sessions:
        file = session.files[0].path
        who = session.participant_id
        if who not in known:
            why = f"{who} has scans but no row in participants.tsv, so they take no part; add a row there."
            problems.append(Problem(file, None, "participant_id", why, "set_aside"))
            continue
        kept.append(session)
        if (who, session.session_id) not in dated:
            table = f"{who}/{who}_sessions.tsv"
            visit = f"visit {session.session_id}" if session.session_id else "only visit"
            why = f"The scans of the {visit} have no day in {table}: they are measured, but stand nowhere in time. Add it."
            problems.append(Problem(file, None, "session_id", why, "used"))
    return tuple(kept), problems


def atlases_named(files: SessionFiles) -> frozenset[str]:
    """The atlases of a session's BOLD runs by their file names, without opening any."""
    return frozenset(name for file in files.files if file.kind == "xcpd" and (name := _atlas_of(file)))


def _atlas_of(file: DerivativeFile) -> str:
    return file.entities.get("atlas") or file.entities.get("seg") or ""


def load_session(
    study_root: Path, files: SessionFiles, *, atlas: str | None = None, gates: Sequence[Gate] | None = None
) -> SessionData:
    """Read one scan visit: a pure function of its files. One bad file never stops the others; it becomes a problem.

    Parameters
    ----------
    atlas
        Read this atlas only, to save time and memory; all if None.
    gates
        Known errors of program versions in place of the shipped list.
    """
    runs, said_xcpd = read_xcpd(study_root, files.files, atlas=atlas, gates=gates)
    connectomes, said_qsirecon = read_qsirecon(study_root, files.files, atlas=atlas, gates=gates)
    tracts, said_tracts = read_tracts(study_root, files.files, gates)
    morphometry, said_freesurfer = read_freesurfer(study_root, files.files, gates=gates)
    nothing = list(_other_atlas(files, atlas)) if atlas is not None and not runs and not said_xcpd else []
    if atlas is None:
        empty = {
            "xcpd": not runs and not said_xcpd,
            "qsirecon": not (connectomes or tracts or said_qsirecon or said_tracts),
            "freesurfer": not morphometry and not said_freesurfer,
            "fmriprep": not any(file.kind == "xcpd" for file in files.files),
        }
        nothing = [problem for kind, none in empty.items() if none for problem in _nothing(files, kind)]
    return SessionData(
        participant_id=files.participant_id,
        session_id=files.session_id,
        runs=tuple(runs),
        connectomes=tuple(connectomes),
        morphometry=tuple(morphometry),
        tracts=tuple(tracts),
        problems=(*said_xcpd, *said_qsirecon, *said_tracts, *said_freesurfer, *nothing),
    )


def _other_atlas(files: SessionFiles, atlas: str) -> Iterator[Problem]:
    """Say it where a visit has BOLD on other atlases only: it is scanned, and takes no part."""
    others = atlases_named(files) - {atlas}
    if others:
        first = next(f.path for f in files.files if f.kind == "xcpd" and _atlas_of(f) in others)
        why = f"This visit's BOLD is on {', '.join(sorted(others))}, the study's on {atlas}: two atlases are two quantities"
        yield Problem(first, None, "", f"{why}, so nothing is measured of it. Run XCP-D with {atlas}.", "set_aside")


_NEEDED = {
    "xcpd": ("func", "BOLD files of XCP-D have no parcel time series or matrix. Run XCP-D with atlases"),
    "qsirecon": ("dwi", "diffusion files of QSIRecon have no connectivity.mat. Run a reconstruction with connectivity"),
    "freesurfer": ("stats", "FreeSurfer files have no stats that are read. Run recon-all to its end"),
    "fmriprep": ("func", "BOLD files of fMRIPrep have no parcel time series beside them. Run XCP-D on them"),
}


def _nothing(files: SessionFiles, kind: str) -> Iterator[Problem]:
    """Say it where a program was run and nothing that is measured came of it."""
    folder, why = _NEEDED[kind]
    first = next((f.path for f in files.files if f.kind == kind and f"/{folder}/" in f.path), None)
    if first is not None:
        yield Problem(first, None, "", f"This session's {why}; nothing is measured from them.", "set_aside")
