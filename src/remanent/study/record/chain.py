"""The audit: append-only entries, each holding the hash of the one before it.

Entry hash = SHA-256 of the JSON array ``[seq, at, who, code_version, run, seed, action, subject, detail, previous]``.
The head (number and hash of the last entry) stands in `meta` too, so that entries missing at the end are noticed; a
head printed elsewhere (dataset_description.json) betrays a chain that was rewritten from end to end.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, select

from remanent.study.record.metadata import AUDIT, META

Detail = Mapping[str, str | int | float | bool | None]

_PARTICIPANT = re.compile(r"sub-[0-9A-Za-z+]+")


@dataclass(frozen=True)
class Author:
    """Who writes: a program or a user, its code version, the run and its seed."""

    who: str
    code_version: str
    run: str
    seed: int | None


@dataclass(frozen=True)
class Head:
    """The last entry of a chain."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True)
class Noted:
    """One entry as it is read back."""

    seq: int
    at: str
    who: str
    action: str
    subject: str
    detail: Detail


class Chain:
    """The audit within one writing transaction."""

    def __init__(self, connection: Connection, author: Author) -> None:
        self._connection, self._author = connection, author
        self.head = read_head(connection)
        self._salt = connection.scalar(select(META.c.value).where(META.c.key == "salt")) or ""

    def append(self, action: str, subject: str, detail: Detail) -> int:
        """Add one entry and return its sequence number; participant ids are hashed first."""
        said = {key: self.hide(value) if isinstance(value, str) else value for key, value in detail.items()}
        entry = {
            "seq": self.head.seq + 1,
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "who": self._author.who,
            "code_version": self._author.code_version,
            "run": self._author.run,
            "seed": self._author.seed,
            "action": action,
            "subject": self.hide(subject),
            "detail": json.dumps(said, sort_keys=True, separators=(",", ":")),
            "previous": self.head.hash,
        }
        self.head = Head(self.head.seq + 1, entry_hash(list(entry.values())))
        self._connection.execute(AUDIT.insert(), entry | {"hash": self.head.hash})
        return self.head.seq

    def hide(self, text: str) -> str:
        """`text` with every participant id replaced by its pseudonym."""
        return _PARTICIPANT.sub(lambda found: pseudonym(self._salt, found.group()), text)

    def seal(self) -> None:
        """Write the head down; the last step of the transaction."""
        self._connection.execute(META.update().where(META.c.key == "head").values(value=str(self.head)))


def pseudonym(salt: str, participant_id: str) -> str:
    """A participant's name in the audit: 16 hexadecimal digits of HMAC-SHA-256, keyed with the record's own salt."""
    return "participant:" + hmac.new(bytes.fromhex(salt), participant_id.encode(), hashlib.sha256).hexdigest()[:16]


def entry_hash(fields: list[object]) -> str:
    """Hash of one entry, from its fields without `hash`, in the order of the table."""
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode("ascii")).hexdigest()


def read_head(connection: Connection) -> Head:
    """The last entry; sequence number 0 and an empty hash where there is none."""
    last = connection.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return Head(last.seq, last.hash) if last else Head(0, "")


def last_entries(connection: Connection, most: int, subject: str | None, action: str | None) -> list[Noted]:
    """The last entries, newest first, of one subject or action if given."""
    wanted = select(AUDIT.c.seq, AUDIT.c.at, AUDIT.c.who, AUDIT.c.action, AUDIT.c.subject, AUDIT.c.detail)
    for column, value in ((AUDIT.c.subject, subject), (AUDIT.c.action, action)):
        wanted = wanted if value is None else wanted.where(column == value)
    found = connection.execute(wanted.order_by(AUDIT.c.seq.desc()).limit(most))
    return [Noted(row.seq, row.at, row.who, row.action, row.subject, json.loads(row.detail)) for row in found]


def broken_links(connection: Connection, published: str | None) -> tuple[list[str], dict[int, Row]]:
    """What is wrong with the chain, in words, and its entries by sequence number."""
    entries = connection.execute(select(AUDIT).order_by(AUDIT.c.seq)).all()
    wrong, previous = [], Head(0, "")
    for *fields, stored in entries:
        seq = fields[0]
        if seq != previous.seq + 1:
            wrong.append(f"audit: entries {previous.seq + 1} to {seq - 1} are missing")
        elif fields[-1] != previous.hash:
            wrong.append(f"audit: entry {seq} does not follow from entry {previous.seq}")
        if entry_hash(fields) != stored:
            wrong.append(f"audit: entry {seq} was changed after it was written")
        previous = Head(seq, stored)
    head = connection.scalar(select(META.c.value).where(META.c.key == "head"))
    if head != str(previous):
        wrong.append(
            f"audit: the last entry is {previous.seq}, but the record's head is {(head or 'missing').split(':')[0]}"
        )
    if published is not None and published not in {str(Head(entry.seq, entry.hash)) for entry in entries}:
        wrong.append(f"audit: the published head {published.split(':')[0]} is not in this chain")
    return wrong, {entry.seq: entry for entry in entries}
