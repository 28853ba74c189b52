"""Participant level: read a study into its record, measure every scan visit that changed. Resumable, and the same whatever the number of workers."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from remanent import __version__
from remanent._errors import Problem, RemanentError
from remanent.circuits.atlas import choose_atlas
from remanent.circuits.drift import Processing, processing
from remanent.circuits.feature import Feature
from remanent.circuits.measure import measure
from remanent.circuits.wiring import Connections
from remanent.stages.connections import fixed_connections, has_connectome
from remanent.stages.drift import facts
from remanent.stages.standing import incomplete_doses, still_incomplete
from remanent.stages.workers import largest_memory_mb, many
from remanent.study.bids import SessionFiles, atlases_named, load_session, read_study
from remanent.study.index import index_study
from remanent.study.outputs import claim
from remanent.study.store import IngestSummary, Record, session_key
from remanent.study.table import Study, Table
from remanent.treatment.doses import doubt_dose
from remanent.treatment.drugs import known, suggest

Log = Callable[..., None]

MEASURES = 4  # raised when what is stored of a session changes, so that every session is measured anew


@dataclass(frozen=True)
class Measured:
    """What one session gave: its features, or the problems that stood in the way; and the most memory its worker ever had."""

    files: SessionFiles
    features: tuple[Feature, ...]
    problems: tuple[Problem, ...]
    made: Processing
    memory_mb: float


@dataclass(frozen=True)
class MeasureSummary:
    """What the stage did."""

    ingest: IngestSummary
    sessions_measured: int
    sessions_unchanged: int


def read(study_root: Path, participants: Sequence[str] = ()) -> Study:
    """Read a study, drugs being those of the drug table."""
    return read_study(study_root, participants, **usable_drugs())


def usable_drugs() -> Mapping[str, Callable[..., Any]]:
    """How the readers tell whether a drug can be turned into exposure, the nearest one that can, and what speaks against a dose."""
    return {"known_drugs": known, "suggest_drug": suggest, "doubt_dose": doubt_dose}


def measure_study(
    study_root: Path,
    out: Path,
    *,
    workers: int,
    participants: Sequence[str],
    log: Log,
    cluster: str = "",
    check: Callable[[Mapping[str, Table]], None] | None = None,
) -> MeasureSummary:
    """Read, record, measure what is new, by processes of this machine or by a Dask cluster; `check` may refuse the record's tables before the measuring."""
    study_root, memory_mb = study_root.resolve(), 0.0
    study = read(study_root, participants)
    claim(out, study_root)
    with Record.open(out) as record, many(workers, cluster) as at_once:
        ingest = record.ingest(study, participants)
        read_again = study.tables["participants"]["participant_id"].tolist()
        others = still_incomplete(record.problems(), read_again) if participants else []
        record.put_problems("doses", [*others, *incomplete_doses(study.problems)])
        log("ingest", rows_added=ingest.rows_added, rows_closed=ingest.rows_closed, files_read=ingest.files_read)
        if check is not None:
            check(record.tables())
        everyone = index_study(study.root).sessions if participants else study.sessions
        atlas, day = _atlas(everyone), _days(study)
        fixed = fixed_connections(record, study_root, everyone, atlas, at_once.map)
        settings = f"{MEASURES} {__version__} {atlas}"
        sources = {
            _key(s): _hash(study_root, s, f"{settings} {day.get(_key(s))} {fixed.digest if has_connectome(s) else ''}")
            for s in study.sessions
        }
        changed = [s for s in study.sessions if not record.has_features(_key(s), sources[_key(s)])]
        for done in at_once.map(partial(_measure_one, study_root, atlas, fixed.connections), changed):
            record.put_features(
                done.files.participant_id,
                done.files.session_id,
                day.get(_key(done.files), float("nan")),
                done.features,
                sources[_key(done.files)],
                problems=done.problems,
                processing=facts(done.made),
            )
            log("measure", session=record.pseudonym(_key(done.files)), features=len(done.features))
            memory_mb = max(memory_mb, done.memory_mb)
        if changed:
            log("measured", sessions=len(changed), largest_worker_mb=round(memory_mb))
        if not participants:
            record.keep_features(_key(s) for s in study.sessions)
    return MeasureSummary(ingest, len(changed), len(study.sessions) - len(changed))


def _key(session: SessionFiles) -> str:
    return session_key(session.participant_id, session.session_id)


def _days(study: Study) -> dict[str, float]:
    visits = study.tables["sessions"]
    rows = zip(visits["participant_id"], visits["session_id"], visits["day"], strict=True)
    return {session_key(p, s): float(day) for p, s, day in rows}


def _atlas(sessions: Sequence[SessionFiles]) -> str | None:
    """One atlas for the whole study, whoever is measured now; None where no session has a parcellated series, and each connectome speaks for itself."""
    offered = [o for o in (atlases_named(s) for s in sessions) if o]
    return choose_atlas(offered) if offered else None


def _hash(root: Path, session: SessionFiles, settings: str) -> str:
    """Hash of everything that is stored of a session: file contents, who made them, and `settings` (program version, atlas, day)."""
    total = hashlib.sha256(settings.encode())
    for file in sorted(session.files, key=lambda f: f.path):
        total.update(f"{file.path} {file.pipeline!r}".encode("utf-8", "surrogateescape"))
        try:
            total.update(hashlib.sha256((root / file.path).read_bytes()).digest())
        except OSError as error:
            total.update(str(error.errno).encode())
    return total.hexdigest()


def _measure_one(root: Path, atlas: str | None, connections: Connections | None, files: SessionFiles) -> Measured:
    try:
        session = load_session(root, files, atlas=atlas)
        with threadpool_limits(1):  # the same bits whatever process this is and however many threads it has
            features = measure(session, atlas=atlas, connections=connections)
        problems = (*session.problems, *_dropped_parcels(files, features))
        return Measured(files, features, problems, processing(session, atlas), largest_memory_mb())
    except RemanentError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001  one session must not stop the others; the fault is ours and is listed as such
        why = f"a fault of this program ({type(error).__name__}: {error}); this visit is left out. Please report it."
    return Measured(files, (), (Problem(files.files[0].path, None, "", why, "set_aside"),), Processing({}), 0.0)


def _dropped_parcels(files: SessionFiles, features: Sequence[Feature]) -> list[Problem]:
    """Parcels that take no part in the measures of a visit, which the others do not show."""
    file = next(
        (f.path for f in files.files if f.suffix == "timeseries" and f.extension == ".tsv"), files.files[0].path
    )
    lost = [f for f in features if f.name == "qc_parcels_dropped" and f.value > 0]
    why = "parcels take no part in the measures of this visit"
    who = files.participant_id
    return [Problem(file, None, "", f'"{f.value:.0f}" {why}: "{f.reason}".', "used", who) for f in lost]
