"""The record: every accepted row, where it came from, who let it in and when; the only code that writes the database.

One writing call is one transaction: it is stored with its audit entries or not at all. Rows are never changed or
deleted, only closed.
"""

import hashlib
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, and_, or_, select

from remanent import __version__
from remanent._errors import InputError, Problem, UsageError
from remanent.study import schema
from remanent.study.record import database
from remanent.study.record.chain import Author, Chain, Detail, Noted, last_entries, pseudonym, read_head
from remanent.study.record.entry import Entry, Held, enter, held
from remanent.study.record.files import file_sha256, read_arrays, remove_superseded, write_draws
from remanent.study.record.intake import as_table, put_file, put_problems, sources, take_in
from remanent.study.record.merge import Source, merge
from remanent.study.record.metadata import ARTIFACT, FILE, META, ROWS, SPECS
from remanent.study.record.proof import find_faults
from remanent.study.record.rows import NOTHING, decode, digest, encode
from remanent.study.record.upgrade import bring_up_to_date
from remanent.study.table import Study, Table


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did: files with something new, files without, rows that came and rows that went."""

    files_read: int
    files_unchanged: int
    rows_added: int
    rows_closed: int


def session_key(participant_id: str, session_id: str) -> str:
    """The name of one scan visit in the record."""
    return f"{participant_id}/{session_id}"


class Record:
    """The system of record of one OUT folder, SQLite or PostgreSQL.

    Use it as a context manager, or call `close`. Several processes may read while one writes; a second writer waits.
    """

    def __init__(self, engine: Engine, author: Author, folder: Path | None) -> None:
        self._engine, self._author, self._folder = engine, author, folder

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        create: bool = True,
        folder: Path | None = None,
        run: str = "",
        seed: int | None = None,
        timeout_s: float = 60,
    ) -> Self:
        """Open a record, create it where there is none, upgrade it where it is old (a backup is made beside it first).

        Parameters
        ----------
        where
            Folder OUT (its ``study.sqlite``), a ``.sqlite`` file, or the URL of a database.
        create
            False: a missing record is an error.
        folder
            Where large arrays lie; by default the folder of the SQLite file.
        run, seed
            Noted in every audit entry of this run.
        timeout_s
            How long to wait for another writer (s).

        Raises
        ------
        InputError
            The record is locked, damaged, someone else's, newer than this program, or cannot be written.
        """
        url = database.locate(where)
        is_file = url.get_backend_name() == "sqlite"
        path = Path(url.database or "") if is_file else None
        if path is not None and not (create or path.is_file()):
            raise InputError("there is no record here", where=str(path), do="Give a folder made by `remanent run`.")
        author = Author(f"remanent {__version__}", __version__, run or secrets.token_hex(8), seed)
        with database.explained(url):
            engine = database.engine(url, timeout_s)
            try:
                bring_up_to_date(engine, author, path)
            except BaseException:
                engine.dispose()
                raise
        return cls(engine, author, folder or (path.parent if path else None))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ingest(self, study: Study, participants: Sequence[str] = ()) -> IngestSummary:
        """Make the study's rows the current rows, with their history.

        Parameters
        ----------
        study
            As read; its tables hold accepted rows only.
        participants
            The participants that were read, where it was not all of them: everyone else's rows stay as they are.

        Raises
        ------
        InputError
            The study shares no participant with the record.
        """
        only = frozenset(f"sub-{name.removeprefix('sub-')}" for name in participants) or None
        with self._writing() as (connection, chain):
            changes = take_in(connection, chain, study, only).values()
            read = sum(any(parts) for parts in changes)
            every = [change for parts in changes for change in parts]
            added, closed = sum(c.added for c in every), sum(c.closed for c in every)
            summary = IngestSummary(read, len(changes) - read, added, closed)
            chain.append("ingest", "study", asdict(summary))
        return summary

    def table(self, name: str, as_of: int | None = None) -> Table:
        """Current rows of a table, by file and line; `as_of`: as they were after that audit entry."""
        with self._reading() as connection:
            return _read(connection, name, as_of)

    def tables(self) -> dict[str, Table]:
        """Current rows of every input table, all from the same moment."""
        with self._reading() as connection:
            return {name: _read(connection, name) for name in schema.INPUT}

    def put_features(
        self,
        participant_id: str,
        session_id: str,
        day: float,
        features: Sequence[Any],
        source_hash: str,
        problems: Sequence[Problem] = (),
        processing: Sequence[tuple[str, str, str, str]] = (),
    ) -> None:
        """Store what was measured in one session, and the problems met, in place of what was there.

        Parameters
        ----------
        features
            Each with `name`, `value`, `se`, `usable`, `reason`, as `remanent.circuits.feature.Feature`.
        source_hash
            Hash of everything they were measured from; see `has_features`.
        processing
            How they were made: modality, setting, value, source (table ``processing``).
        """
        n = len(features)
        columns = {
            "participant_id": [participant_id] * n,
            "session_id": [session_id] * n,
            "day": [day] * n,
            "feature": [f.name for f in features],
            "value": [f.value for f in features],
            "se": [f.se for f in features],
            "usable": [bool(f.usable) for f in features],
            "reason": [f.reason or None for f in features],
        }
        made = {
            name: [fact[i] for fact in processing] for i, name in enumerate(("modality", "setting", "value", "source"))
        }
        made |= {"participant_id": [participant_id] * len(processing), "session_id": [session_id] * len(processing)}
        key, rows = session_key(participant_id, session_id), encode(as_table("features", columns))
        with self._writing() as (connection, chain):
            merge(connection, chain, Source("features", key, source_hash), rows)
            merge(connection, chain, Source("processing", key, None), encode(as_table("processing", made)))
            put_problems(connection, chain, f"measure {key}", problems)

    def has_features(self, key: str, source_hash: str) -> bool:
        """Whether the session `key` (`session_key`) was measured from exactly this source."""
        mine = select(FILE.c.sha256).where(FILE.c.table_name == "features", FILE.c.path == key)
        with self._reading() as connection:
            return connection.scalar(mine) == source_hash

    def keep_features(self, keys: Iterable[str]) -> int:
        """Close the features of sessions not among `keys`, whose scans are gone from the study; how many these are."""
        closed = 0
        with self._writing() as (connection, chain):
            for key in sorted(sources(connection, "features") - set(keys)):
                closed += bool(merge(connection, chain, Source("features", key, None), NOTHING))
                merge(connection, chain, Source("processing", key, None), NOTHING)
                put_problems(connection, chain, f"measure {key}", ())
        return closed

    def features(self) -> Table:
        """Current features of every session as measured; what depends on other sessions (`z`, `harmonised`) is missing."""
        return self.table("features")

    def put_results(self, name: str, columns: Mapping[str, Any]) -> None:
        """Store a results table (one of `schema.OUTPUT`) in place of the former one."""
        if name not in schema.OUTPUT:
            raise UsageError(f"{name} is no results table", do=f"Use one of {', '.join(schema.OUTPUT)}.")
        rows = encode(as_table(name, columns))
        with self._writing() as (connection, chain):
            merge(connection, chain, Source(name, name, None), rows)

    def put_problems(self, stage: str, problems: Sequence[Problem]) -> None:
        """Store the problems of a stage (``read``, ``measure``, ...) in place of those of its former run."""
        with self._writing() as (connection, chain):
            put_problems(connection, chain, stage, problems)

    def problems(self) -> tuple[Problem, ...]:
        """Current problems of all stages."""
        table = self.table("problems")
        rows = zip(*(table[name].tolist() for name in table.spec.column), strict=True)
        return tuple(Problem(f, None if math.isnan(r) else int(r), c or "", p, a, w or "") for f, r, c, p, a, w in rows)

    def put_draws(self, name: str, values: Mapping[str, np.ndarray]) -> Path:
        """Write arrays with a common first axis, e.g. [draw, ...], to ``draws/`` and refer to the file by its hash."""
        folder = self._out()
        path = write_draws(folder / "draws", name, values)
        with self._writing() as (connection, chain):
            put_file(connection, chain, f"draws/{name}", folder, path)
        remove_superseded(path)
        return path

    def path_of_draws(self, name: str) -> Path | None:
        """Where the arrays last stored as `name` lie; None where there are none, or their file was removed."""
        table = self.table(ARTIFACT.name)
        found = table.select(table.file == f"draws/{name}")
        path = self._out() / found["path"][0] if len(found) else None
        return path if path is not None and path.is_file() else None

    def draws(self, name: str) -> dict[str, np.ndarray]:
        """The arrays last stored as `name`, checked against their hash."""
        folder = self._out()
        table = self.table(ARTIFACT.name)
        found = table.select(table.file == f"draws/{name}")
        if not len(found):
            raise UsageError(f"the record holds no draws called {name}")
        path = folder / found["path"][0]
        if not path.is_file() or file_sha256(path) != found["sha256"][0]:
            raise InputError("the file is missing or was changed", where=str(path), do="Run the analysis again.")
        return read_arrays(path)

    def put_files(self, paths: Iterable[Path]) -> None:
        """Note the hash of OUT's result files, all of them, so that `verify` sees a change; draws are noted already."""
        folder = self._out()
        given = {path.relative_to(folder).as_posix(): path for path in paths}
        with self._writing() as (connection, chain):
            for name, path in given.items():
                put_file(connection, chain, name, folder, path)
            for name in sorted(sources(connection, ARTIFACT.name) - given.keys()):
                if not name.startswith("draws/"):
                    merge(connection, chain, Source(ARTIFACT.name, name, None), NOTHING)

    def put_file(self, path: Path) -> None:
        """Note the hash of one of OUT's result files; what is noted of others stays."""
        folder = self._out()
        with self._writing() as (connection, chain):
            put_file(connection, chain, path.relative_to(folder).as_posix(), folder, path)

    def audit(self, action: str, subject: str, detail: Detail) -> int:
        """Add an entry to the audit and return its number. Participant ids are hashed; give no patient values."""
        with self._writing() as (_, chain):
            return chain.append(action, subject, detail)

    def by(self, who: str) -> Self:
        """The same record, its audit entries signed by `who`: a person of the app."""
        return type(self)(self._engine, replace(self._author, who=who), self._folder)

    def held(self, participant_id: str) -> list[Held]:
        """Current rows of a participant, each with its place in the record."""
        with self._reading() as connection:
            return held(connection, participant_id)

    def enter(self, entry: Entry, seen: str) -> int:
        """Add and close rows of one participant by hand, with the reason; the number of the audit entry.

        Raises
        ------
        ConflictError
            The participant's rows are not those of version `seen` (`record.entry.version`): someone changed them meanwhile.
        """
        with self._writing() as (connection, chain):
            return enter(connection, chain, entry, seen)

    def last_audit(self, most: int, subject: str | None = None, action: str | None = None) -> list[Noted]:
        """The last audit entries, newest first; of one subject (a participant under the pseudonym) or action if given."""
        with self._reading() as connection:
            return last_entries(connection, most, subject, action)

    def audit_of(self, participant_id: str, action: str | None = None, most: int = 100) -> list[Noted]:
        """The last audit entries about a participant, newest first."""
        return self.last_audit(most, self.pseudonym(participant_id), action)

    def pseudonym(self, participant_id: str) -> str:
        """The name under which the audit speaks of a participant."""
        with self._reading() as connection:
            return pseudonym(
                connection.execute(select(META.c.value).where(META.c.key == "salt")).scalar_one(), participant_id
            )

    def verify(self, published: str | None = None) -> list[str]:
        """What is wrong with the record, in words; empty where it is intact.

        `published` is a `head` that was printed elsewhere: without it, a chain rewritten from end to end passes.
        """
        with self._reading() as connection:
            return find_faults(connection, self._folder, published)

    @property
    def head(self) -> str:
        """Number and hash of the last audit entry."""
        with self._reading() as connection:
            return str(read_head(connection))

    @property
    def snapshot_id(self) -> str:
        """SHA-256 of what an analysis reads: the current input rows and features, whatever their order and history."""
        total = hashlib.sha256()
        with self._reading() as connection:
            for name in (*schema.INPUT, "features", "processing"):
                columns = ROWS[name].c
                (hashes,) = database.by_column(connection, select(columns.row_hash).where(columns.row_closed.is_(None)))
                total.update(f"{name} {digest(hashes)}\n".encode())
        return total.hexdigest()

    def _out(self) -> Path:
        if self._folder is None:
            raise UsageError("this record has no folder for files", do="Give `folder` to Record.open.")
        return self._folder

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.explained(self._engine.url), database.uncollected(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Chain]]:
        with database.explained(self._engine.url), database.uncollected(), self._engine.connect() as plain:
            connection = plain.execution_options(write="rows")
            with connection.begin():
                chain = Chain(connection, self._author)
                yield connection, chain
                chain.seal()


def _read(connection: Connection, name: str, as_of: int | None = None) -> Table:
    if name not in SPECS:
        raise UsageError(f"the record has no table {name}", do=f"Use one of {', '.join(SPECS)}.")
    table, spec = ROWS[name], SPECS[name]
    current: ColumnElement[bool] = table.c.row_closed.is_(None)
    if as_of is not None:
        current = and_(table.c.row_opened <= as_of, or_(current, table.c.row_closed > as_of))
    wanted = [*(table.c[column.name] for column in spec.columns), table.c.row_extra, FILE.c.path, table.c.row_line]
    query = select(*wanted).join(FILE, FILE.c.id == table.c.row_file).where(current)
    ordered = query.order_by(FILE.c.path, table.c.row_line, table.c.row_id)
    *columns, file, line = database.by_column(connection, ordered)
    return decode(spec, columns, file, line)
