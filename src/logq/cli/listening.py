"""Sockets that commands listen on, and serving an application there."""

import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from logq.cli.terminal.errors import BadInputError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["address_of", "listen", "run_app"]


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything says so.

    Args:
        host: name or number of an address of this machine.
        port: 0 takes a free one.

    Raises:
        BadInputError: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except socket.gaierror as error:
        raise BadInputError(f"--host: expected an address of this machine, got {host!r} ({error.strerror})") from error
    except OSError as error:
        hint = "; --port 0 takes a free one" if error.errno in (13, 98, 48) else ""
        raise BadInputError(
            f"--port: {host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}{hint}"
        ) from error


def address_of(listening: socket.socket) -> str:
    """Return the address of a socket as a browser takes it.

    Example:
        >>> with listen("127.0.0.1", 0) as listening:
        ...     address_of(listening)
        'http://127.0.0.1:...'
    """
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run_app(app: "FastAPI", listening: socket.socket) -> None:
    """Serve an application until Ctrl-C or SIGTERM, which finish what runs.

    Args:
        app: the application.
        listening: the socket, which is closed at the end.
    """
    import uvicorn

    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("logq.serving").setLevel(logging.INFO)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="on")
    # uvicorn ends gently by both signals, and sends them once more to whom they were before: nobody.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listening.close()
