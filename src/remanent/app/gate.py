"""The gate before every request: host, size, who asks, whether this page asked, and the headers of every answer.

On this machine, the address printed at the start holds a random token; it is turned into a cookie that scripts cannot read and other sites cannot send.
Behind a proxy, a name in a header is believed only if it comes from the proxy's address together with the shared secret.
"""

import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

from remanent.app.settings import LOCAL_USER, Settings, User

_LOG = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST_BODY_BYTES = 65_536
LONGEST_TARGET = 4_096
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "x-remanent-csrf"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


class RefusedError(Exception):
    """A request that does not get in: status, and what to do about it."""

    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(words)


@dataclass
class Gate:
    """ASGI middleware; `sessions` are the cookies given out by this process."""

    app: App
    settings: Settings
    sessions: set[str] = field(default_factory=set)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        guarded = _with_headers(scope, send)
        try:
            self._check_target(scope)
            if scope["path"] == "/open" and self.settings.proxy is None:
                await self._open(scope, guarded)
                return
            user, key = self._who(scope)
            self._check_origin(scope, key)
            body = await _whole_body(scope, receive)
        except RefusedError as refused:
            await _say(guarded, refused.status, refused.words)
            return
        scope["user"], scope["csrf"] = user, csrf_token(key)
        try:
            await self.app(scope, _replay(body, receive), guarded)
        except Exception as fault:  # noqa: BLE001 - answered with a page already; its words may hold a patient's values, so only its kind is logged
            _LOG.error("a fault of this program: %s", type(fault).__name__)

    def _check_target(self, scope: MutableMapping[str, Any]) -> None:
        host = _only(scope, "host")
        if host is None or host.casefold() not in self.settings.hosts:
            raise RefusedError(421, "This name is not this app's. Use the address that was printed at its start.")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_TARGET:
            raise RefusedError(414, "The address is too long.")

    async def _open(self, scope: MutableMapping[str, Any], send: Send) -> None:
        """Turn the start-up token into a session and leave its address."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["method"] != "GET" or not _same(given, self.settings.token):
            raise RefusedError(401, "This is not the address that was printed at the start of this app.")
        session = secrets.token_urlsafe(32)
        self.sessions.add(session)
        cookie = f"{self._cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    @property
    def _cookie(self) -> str:
        # cookies do not know ports: two apps on one machine must not take each other's
        return f"remanent_{self.settings.port}"

    def _who(self, scope: MutableMapping[str, Any]) -> tuple[User, str]:
        """The user, and the secret from which the CSRF token is made."""
        if self.settings.proxy is None:
            found = [value for name, value in _cookies(scope) if name == self._cookie]
            session = next((s for s in self.sessions if len(found) == 1 and _same(found[0], s)), None)
            if session is None:
                raise RefusedError(401, "No session. Open the address that was printed at the start of this app.")
            return LOCAL_USER, session
        return self._proxied(scope)

    def _proxied(self, scope: MutableMapping[str, Any]) -> tuple[User, str]:
        proxy = self.settings.proxy
        peer = (scope.get("client") or ("",))[0]
        if proxy is None or peer != proxy.address or not _same(_only(scope, proxy.secret_header) or "", proxy.secret):
            raise RefusedError(401, "Only the configured proxy may ask.")
        user = self.settings.users.get(_only(scope, proxy.user_header) or "")
        if user is None:
            raise RefusedError(403, "You are known to the proxy and have no role in this app: ask its administrator.")
        return user, f"{proxy.secret} {user.name}"

    @staticmethod
    def _check_origin(scope: MutableMapping[str, Any], key: str) -> None:
        """An unsafe method must come from a page of ours."""
        if scope["method"] in SAFE:
            return
        if (_only(scope, "sec-fetch-site") or "same-origin") != "same-origin":
            raise RefusedError(403, "Another site asked for this.")
        if not _same(_only(scope, CSRF_HEADER) or "", csrf_token(key)):
            raise RefusedError(403, "The page that asked is not one of this session. Load it again.")


def csrf_token(key: str) -> str:
    """What a page of a session sends back with every change."""
    return hmac.new(key.encode(), b"remanent csrf", sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _only(scope: MutableMapping[str, Any], name: str) -> str | None:
    """A header's value; None where it is missing or stands there twice."""
    found = [value for key, value in scope["headers"] if key == name.encode("latin-1")]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _cookies(scope: MutableMapping[str, Any]) -> list[tuple[str, str]]:
    parts = ";".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie").split(";")
    return [(name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in parts)]


async def _whole_body(scope: MutableMapping[str, Any], receive: Receive) -> bytes:
    """The body, as far as it is allowed."""
    length = _only(scope, "content-length") or "0"
    if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
        raise RefusedError(413, f"More than {LARGEST_BODY_BYTES // 1024} kB is not taken.")
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "The request ended early.")
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > LARGEST_BODY_BYTES:
            raise RefusedError(413, f"More than {LARGEST_BODY_BYTES // 1024} kB is not taken.")
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(scope: MutableMapping[str, Any], send: Send) -> Send:
    caching = b"private, max-age=3600" if scope["path"].startswith("/static/") else b"no-store"

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept: Sequence[tuple[bytes, bytes]] = [h for h in message.get("headers", []) if h[0] != b"server"]
            message = {**message, "headers": [*kept, *HEADERS, (b"cache-control", caching)]}
        await send(message)

    return guarded


async def _say(send: Send, status: int, words: str) -> None:
    body = f"{words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
