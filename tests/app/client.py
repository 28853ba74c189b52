"""The app under test: a client with a session, as a browser has one after the start-up address."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

with warnings.catch_warnings():  # Starlette would rather have another client
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

from remanent.app.gate import Gate
from remanent.app.server import build
from remanent.app.settings import Proxy, Settings, User
from remanent.study.store import Record

PORT = 8765
HOST = {"host": f"127.0.0.1:{PORT}"}
SECRET = "s" * 40
PEER = "127.0.0.1"


def local() -> Settings:
    return Settings(PORT)


def proxied(**users: User) -> Settings:
    proxy = Proxy(PEER, "x-remote-user", "x-remanent-secret", SECRET, "remanent.example")
    return Settings(PORT, proxy=proxy, users={user.name: user for user in users.values()})


@contextlib.contextmanager
def serving(out: Path, settings: Settings | None = None) -> Iterator[tuple[Gate, Record]]:
    with Record.open(out, create=False, timeout_s=10) as record:
        yield build(out, record, settings or local()), record


def anonymous(gate: Gate, peer: str = PEER) -> TestClient:
    """A client without a session. A fault inside becomes a 500 rather than the test's exception."""
    return TestClient(gate, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False, client=(peer, 5000))


def opened(gate: Gate) -> TestClient:
    """A client that came through the start-up address."""
    client = anonymous(gate)
    answer = client.get("/open", params={"token": gate.settings.token}, follow_redirects=False)
    assert answer.status_code == 303
    return client


def as_user(gate: Gate, name: str) -> TestClient:
    """A client that comes through the proxy."""
    client = anonymous(gate)
    client.headers.update({"host": "remanent.example", "x-remote-user": name, "x-remanent-secret": SECRET})
    return client


def csrf(client: TestClient) -> dict[str, str]:
    """The header that the pages send with a change."""
    page = client.get("/evidence").text
    return {"x-remanent-csrf": page.split('X-Remanent-CSRF": "')[1].split('"')[0], "hx-request": "true"}
