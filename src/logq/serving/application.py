"""create_app: a FastAPI application that answers from a model."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._arguments import ArgumentError, check_float
from logq._project import check_installed
from logq.serving.batching import Batcher
from logq.serving.gate import Gate
from logq.serving.limits import ServingLimits
from logq.serving.live_model import LiveModel
from logq.serving.open_models import answers_of
from logq.serving.request_forms import make_forms
from logq.serving.routes import add_questions, add_status, tell_problems
from logq.serving.service_metrics import ServiceMetrics

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["check_serving", "create_app"]

_ABOUT = """Answers of a model that logq trained. Every question is a POST with a JSON body; each route below has an
example that this very model can answer. Whatever is wrong with a request is told in one form:
`{"error": {"status", "message", "field", "expected", "got"}}`."""


def check_serving(*more: str) -> None:
    """Check that what serves is there, before a model is loaded.

    Args:
        more: modules of the extra `serve` besides those that an application consists of.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.

    Example:
        >>> check_serving()
    """
    check_installed("serving", "serve", "fastapi", "prometheus_client", *more)


def create_app(
    model: Any,
    *,
    index: Any = (),
    device: str = "cpu",
    limits: ServingLimits | None = None,
    token: str | None = None,
    reload_seconds: float = 1.0,
) -> "FastAPI":
    """Make an application that answers from a model, to be run by any ASGI server or mounted in another application.

        POST /recommend, /similar, /score        recommenders
        POST /neighbors, /score                  word vectors
        POST /next, /score, /generate            language models
        GET  /health, /metrics, /docs, /openapi.json

    Concurrent requests are answered together by a thread of its own. A folder that is replaced is loaded beside the
    old model, which answers until the new one can.

    Args:
        model: a folder of `logq train` or `save`, a file of word vectors or in ARPA format; or a model in memory, which
            must not be changed meanwhile.
        index: folders of indexes that were made from it, or the indexes of a model in memory; one, or a list.
        device: of neural models in folders.
        limits: of requests; those of ServingLimits() unless given.
        token: that requests have to bring, in the header "Authorization: Bearer TOKEN"; None asks for none. /health
            never does.
        reload_seconds: between two looks at the folder; 0 never looks again.

    Raises:
        ModuleNotFoundError: FastAPI is not installed (the extra `serve`).
        OSError, ValueError: there is no model, or it cannot be served.

    Example:
        >>> from logq import KeyedVectors
        >>> app = create_app(KeyedVectors(["tea", "coffee"], [[1.0, 0.1], [1.0, 0.0]]))
        >>> sorted(app.openapi()["paths"])
        ['/health', '/metrics', '/neighbors', '/score']
    """
    check_serving()
    from fastapi import FastAPI

    limits = ServingLimits() if limits is None else limits
    check_float("reload_seconds", reload_seconds, at_least=0)
    if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
        raise ArgumentError("token", "printable ASCII without blanks")  # and nothing of it in a log
    metrics = ServiceMetrics(lambda: batcher.waiting, lambda: live.loaded)
    indexes = [*index] if isinstance(index, list | tuple) else [index]
    if isinstance(model, str | os.PathLike):
        places = [Path(model), *map(Path, indexes)]
        live = LiveModel(places=places, device=device, seconds=reload_seconds, report=metrics.reloaded)
    else:
        live = LiveModel(answers_of(model, indexes))
    batcher = Batcher(live.answer, limits, metrics.batch)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        live.close()
        await asyncio.to_thread(batcher.close)

    app = FastAPI(title="logq", description=_ABOUT, version="1", lifespan=lifespan)
    forms = make_forms(live.family, limits)
    tell_problems(app, live.family, forms)
    add_questions(app, forms, batcher, live, limits, needs_token=token is not None)
    add_status(app, live, metrics, needs_token=token is not None)
    paths = [*forms, "/health", "/metrics", "/docs", "/openapi.json"]
    app.add_middleware(Gate, limits=limits, token=token, metrics=metrics, paths=paths)
    return app
