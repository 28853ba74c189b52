"""Start the app: check where it may listen, print its address, serve until stopped. No access log: addresses hold patients' ids."""

import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

import jax
import uvicorn

from remanent._errors import InputError, UsageError
from remanent.app.server import build
from remanent.app.settings import Settings, read_settings
from remanent.app.shelf import Shelf
from remanent.app.whatif import Workbench
from remanent.plan.decide import Thresholds
from remanent.stages.programs import set_up_compiler
from remanent.stages.results import load
from remanent.study.store import Record

SECONDS_TO_WAIT = 10.0


def serve(
    out: Path,
    address: str,
    port: int,
    *,
    settings_file: Path | None,
    thresholds: Mapping[str, Thresholds | None] | None,
    say: Callable[[str], None],
) -> None:
    """Serve one OUT folder.

    Raises
    ------
    UsageError
        The address is not this machine's and no proxy stands in front.
    InputError
        There are no results, or the port is taken.
    """
    jax.config.update("jax_enable_x64", True)
    if settings_file is None and not _is_loopback(address):
        why = "Without an authenticating proxy in front, whoever finds the address would be let in."
        raise UsageError(f"cannot listen on {address}", why=why, do="Leave out --bind, or give --proxy-settings.")
    set_up_compiler()
    load(out)
    listening = _listen(address, port)
    settings = read_settings(settings_file, listening.getsockname()[1])
    with Record.open(out, create=False, timeout_s=SECONDS_TO_WAIT) as record, listening:
        bench = Workbench(out, record, Shelf(out, record), thresholds)
        gate = build(out, record, settings, bench)
        say(_greeting(out, settings, address))
        bench.start()
        config = uvicorn.Config(
            gate,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            h11_max_incomplete_event_size=32_768,
        )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            if bench.busy:
                say("Ending as soon as the programs that are being compiled are done.")
            bench.finish()


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        do = "Choose another --port, or 0 for any that is free."
        raise InputError(f"cannot listen on port {port}: {error.strerror}", where=address, do=do) from error
    return listening


def _greeting(out: Path, settings: Settings, address: str) -> str:
    if settings.proxy:
        where = f"Serving {out} to {settings.proxy.host}, through the proxy at {settings.proxy.address}, on {address}:{settings.port}."
    else:
        shown = f"[{address}]" if ":" in address else address
        where = f"Serving {out}. Open this address, and keep it to yourself:\n\n  http://{shown}:{settings.port}/open?token={settings.token}\n"
    return (
        f"{where}\nNothing leaves this machine: no address outside is ever asked. Research use only. Stop with Ctrl-C."
    )
