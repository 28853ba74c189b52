"""Who may use the app, from where, and what they may see and do."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from remanent._errors import InputError
from remanent._yaml import read_written

Role = Literal["viewer", "analyst", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")
LEAST_SECRET = 32
_DO = "See docs/app.md for a settings file."


@dataclass(frozen=True, slots=True)
class User:
    """Someone who uses the app; `sites` None: all of them."""

    name: str
    role: Role
    sites: frozenset[str] | None = None

    def may(self, role: Role) -> bool:
        """Whether the user's role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, site: str | None) -> bool:
        """Whether a participant of this site may be shown."""
        return self.sites is None or site in self.sites


@dataclass(frozen=True, slots=True)
class Proxy:
    """The authenticating reverse proxy: its address, the two headers it sets, the secret in one of them, the name in `Host`."""

    address: str
    user_header: str
    secret_header: str
    secret: str = field(repr=False)
    host: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How the app is served.

    Attributes
    ----------
    token
        Opens a session on this machine; unused behind a proxy.
    proxy, users
        None and empty: one person on this machine, who may do everything.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    proxy: Proxy | None = None
    users: Mapping[str, User] = field(default_factory=dict)

    @property
    def hosts(self) -> frozenset[str]:
        """What the `Host` header may be: anything else is another site's name for this machine (DNS rebinding)."""
        if self.proxy:
            return frozenset({self.proxy.host.casefold()})
        return frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]"))


LOCAL_USER = User("local", "admin")


def read_settings(path: Path | None, port: int) -> Settings:
    """Settings of a local app, or those of a file for use behind a proxy.

    Raises
    ------
    InputError
        The file, or the secret it names, cannot be used.
    """
    if path is None:
        return Settings(port)
    import yaml

    where = str(path)
    try:
        found = read_written(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read as YAML: {error}", where=where, do=_DO) from error
    if not isinstance(found, dict) or set(found) != {"proxy", "users"}:
        raise InputError("does not hold `proxy` and `users`, and nothing else", where=where, do=_DO)
    return Settings(port, proxy=_proxy(found["proxy"], path), users=_users(found["users"], where))


def _proxy(entry: Any, path: Path) -> Proxy:
    where, names = str(path), ("address", "user_header", "secret_header", "secret_file", "host")
    if not isinstance(entry, dict) or set(entry) != set(names) or not all(isinstance(v, str) for v in entry.values()):
        raise InputError(f"proxy is not {', '.join(names)}, each a text", where=where, do=_DO)
    try:
        ip_address(entry["address"])
    except ValueError as error:
        why = "A name could be answered by another machine."
        raise InputError(
            "proxy.address is no IP address", where=where, why=why, do="Give one such as 127.0.0.1."
        ) from error
    return Proxy(
        entry["address"],
        entry["user_header"].casefold(),
        entry["secret_header"].casefold(),
        _secret(path.parent / entry["secret_file"]),
        entry["host"],
    )


def _secret(path: Path) -> str:
    try:
        secret, mode = path.read_text("ascii").strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the shared secret cannot be read", where=str(path), do=_DO) from error
    if len(secret) < LEAST_SECRET:
        raise InputError(
            f"the shared secret has fewer than {LEAST_SECRET} characters",
            where=str(path),
            do="Make it by `openssl rand -hex 32`.",
        )
    if mode & 0o077:
        raise InputError("others can read the shared secret", where=str(path), do="Allow its owner only: chmod 600.")
    return secret


def _users(entry: Any, where: str) -> dict[str, User]:
    if not isinstance(entry, dict) or not entry:
        raise InputError("users is not a table of names", where=where, do=_DO)
    return {str(name): _user(str(name), own, where) for name, own in entry.items()}


def _user(name: str, own: Any, where: str) -> User:
    if not isinstance(own, dict) or own.get("role") not in ROLES or not set(own) <= {"role", "sites"}:
        raise InputError(f"user {name} has no role of {', '.join(ROLES)}", where=where, do=_DO)
    sites = own.get("sites")
    if sites is not None and not (isinstance(sites, list) and all(isinstance(site, str) for site in sites)):
        raise InputError(f"sites of {name} are not a list of texts", where=where, do="Leave `sites` out for all sites.")
    return User(name, own["role"], None if sites is None else frozenset(sites))
