"""create_explorer: the routes of a service, and a page that asks them."""

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from logq.explorer.explorer_page import ExplorerPage, PageOptions
from logq.serving.application import check_serving, create_app
from logq.serving.limits import ServingLimits

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response

__all__ = ["create_explorer"]

HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Host names that requests may have; the page of another site, whose name was pointed to this machine, is refused."""


def create_explorer(
    model: Any, beside: Any = None, *, limits: ServingLimits | None = None, **options: Unpack[PageOptions]
) -> "FastAPI":
    """Make an application with a page to explore a model, and the routes of `logq.serving.create_app` that it asks.

        GET /                                    the page
        /recommend, /similar, /health, ...       of the model
        /beside/recommend, ...                   of the one beside it

    It answers requests to this machine only, whatever address it listens on. Models are loaded once.

    Args:
        model: a folder or a file with word vectors or a recommender; or a model in memory.
        beside: another one, to compare.
        limits: of requests.
        **options: `top`, `layout`, `seed`, `title`, `device` and `progress`, as for `write_explorer`.

    Raises:
        ModuleNotFoundError: FastAPI is not installed (the extra `serve`).
        ArgumentError: there is no map of the model, or the other one has other things.
        OSError, ValueError: a model cannot be loaded.

    Example:
        >>> from logq import KeyedVectors
        >>> app = create_explorer(KeyedVectors(["tea", "coffee"], [[1.0, 0.1], [1.0, 0.0]]), layout="pca")
        >>> from fastapi.testclient import TestClient
        >>> "tea" in TestClient(app, base_url="http://localhost").get("/").text
        True
    """
    check_serving()
    explorer = ExplorerPage(model, beside, **options)
    inner = [create_app(source.model, limits=limits) for source in explorer.sources]
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import Response

    page = explorer.live(["", "beside/"][: len(inner)])
    headers = {"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        async with contextlib.AsyncExitStack() as stack:
            for one in inner:
                await stack.enter_async_context(one.router.lifespan_context(one))
            yield

    async def show() -> "Response":
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    app = FastAPI(title="logq explorer", lifespan=lifespan, openapi_url=None)
    app.add_api_route("/", show, include_in_schema=False, response_class=Response)
    if beside is not None:
        app.mount("/beside", inner[1])
    app.mount("", inner[0])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*HOSTS])
    return app
