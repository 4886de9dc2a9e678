"""Gate: what every request passes before the application sees it: the token, the size of its body, time."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeAlias

from logq.serving.limits import ServingLimits
from logq.serving.problems import ProblemError, to_json
from logq.serving.service_metrics import ServiceMetrics

__all__ = ["Gate"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OPEN = "/health"
"""The path that needs no token, so that a supervisor can ask whether the service lives."""


_DROPPED = 16  # times the largest body that is read, and dropped
_DIGITS = 19  # of a length that is a number of bytes


class Gate:
    """A layer of ASGI around an application. Bodies are read here, within limits of size and time.

    Args:
        app: the application.
        limits: of bodies.
        token: that requests have to bring; None lets all pass.
        metrics: where requests are counted.
        paths: that are counted by name; others, which anybody can think of, together.

    Example:
        See logq.serving.create_app, which puts it in place.
    """

    def __init__(
        self,
        app: Any,
        limits: ServingLimits,
        token: str | None,
        metrics: ServiceMetrics,
        paths: Collection[str],
    ) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, frozenset(paths)
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        began, status = time.perf_counter(), 500

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            try:
                self._check_token(path, scope)
                body = await self._body(scope, receive)
                if scope["method"] == "POST" and path in self._paths:
                    _check_kind(scope)
            except ProblemError as problem:
                await _refuse(problem, noting)
                return
            await self._app(scope, _replayed(body, receive), noting)
        finally:
            counted = path if path in self._paths else "other"
            self._metrics.request(counted, status, time.perf_counter() - began)

    def _check_token(self, path: str, scope: Scope) -> None:
        if self._token is None or path == OPEN:
            return
        given = _header(scope, b"authorization")
        kind, _, token = given.partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            expected = "the header Authorization: Bearer TOKEN with the token of this service"
            raise ProblemError(401, f"expected {expected}", headers={"WWW-Authenticate": "Bearer"})

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The body; what is too long is read to its end and dropped, or the client would never see the answer."""
        most = self._limits.body
        told = _header(scope, b"content-length")
        size = int(told) if told.isdigit() and len(told) < _DIGITS else 0
        until = time.monotonic() + self._limits.seconds
        parts: list[bytes] = []
        read, more = 0, size <= _DROPPED * most
        while more:
            try:
                message = await asyncio.wait_for(receive(), max(0.001, until - time.monotonic()))
            except asyncio.TimeoutError:
                raise ProblemError(408, f"the body: expected it within {self._limits.seconds:g} seconds") from None
            if message["type"] != "http.request":
                raise ProblemError(400, "the body: it ended before it was complete")
            part = message.get("body", b"")
            read, more = read + len(part), message.get("more_body", False)
            if read <= most:
                parts.append(part)
            else:
                parts.clear()
            more = more and read <= _DROPPED * most
        if max(size, read) > most:
            raise ProblemError(413, f"the body: expected at most {most:,} bytes")
        return b"".join(parts)


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def _check_kind(scope: Scope) -> None:
    """Take JSON alone: a page of somebody else's can make a browser send other kinds without asking."""
    if _header(scope, b"content-type").partition(b";")[0].strip().lower() != b"application/json":
        expected = "the header Content-Type: application/json"
        raise ProblemError(415, f"expected {expected}", "", expected)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever the server has to say, as that the client left."""
    told = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(problem: ProblemError, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    # The rest of the body, if there is one, is not read: the connection ends with this answer.
    headers += [(b"content-type", b"application/json"), (b"connection", b"close")]
    body = to_json(problem.content())
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
