"""The routes of an application: questions to the model, its health and metrics, and what is told of bad requests."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from logq.serving.batching import Batcher, Question
from logq.serving.limits import ServingLimits
from logq.serving.live_model import LiveModel
from logq.serving.problems import ProblemError, body_problem, problem_of, to_json
from logq.serving.request_forms import Form
from logq.serving.service_metrics import ServiceMetrics

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

__all__ = ["add_questions", "add_status", "tell_problems"]

_REFUSALS = {
    400: "The body is not JSON.",
    404: "A user, an item or a word is not known.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "A field has a wrong value, which the error names.",
    503: "Too many requests wait.",
    504: "The answer was not ready in time.",
}
_WITHOUT_TOKEN = {401: "The token is missing, or is another."}


def add_questions(
    app: "FastAPI",
    forms: Mapping[str, Form],
    batcher: Batcher,
    live: LiveModel,
    limits: ServingLimits,
    *,
    needs_token: bool,
) -> None:
    """Add a route for each question, with an example that the model answers."""
    from fastapi import Body

    refusals = _refusals({**_REFUSALS, **(_WITHOUT_TOKEN if needs_token else {})})
    for path, form in forms.items():
        example: Any = {"of this model": {"value": live.questions[path]}}
        answer = {200: {"content": {"application/json": {"example": live.examples[path]}}}}
        app.add_api_route(
            path,
            _endpoint(path, Annotated[form.request, Body(openapi_examples=example)], batcher, limits),
            methods=["POST"],
            response_model=form.answer,
            responses=refusals | answer,  # pyright: ignore[reportArgumentType]
            summary=form.summary,
            description=form.description,
            operation_id=path[1:],
            dependencies=_security(needs_token),
        )


def _endpoint(path: str, body: Any, batcher: Batcher, limits: ServingLimits) -> Any:
    async def endpoint(asked: Any) -> "Response":
        question = Question(path, asked.model_dump(exclude_unset=True))
        try:
            future = batcher.submit(question)
            return _answered(200, await asyncio.wait_for(asyncio.wrap_future(future), limits.seconds))
        except asyncio.TimeoutError:
            return _refused(ProblemError(504, f"the answer was not ready within {limits.seconds:g} seconds"))
        except Exception as error:
            return _refused(problem_of(error, question.asked))

    endpoint.__annotations__ = {"asked": body}  # which FastAPI reads
    return endpoint


def add_status(app: "FastAPI", live: LiveModel, metrics: ServiceMetrics, *, needs_token: bool) -> None:
    """Add /health, which needs no token, and /metrics."""
    from fastapi import Response

    async def health() -> dict[str, Any]:
        """What is served, since when, and whether the last attempt to replace it failed ("stale")."""
        return live.about()

    async def numbers() -> Response:
        """Requests, times, batches, reloads, memory, as Prometheus reads them."""
        return Response(metrics.text(), media_type=metrics.content_type)

    app.add_api_route("/health", health, summary="What is served", operation_id="health")
    refusals = _refusals(_WITHOUT_TOKEN) if needs_token else {}
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    app.add_api_route(
        "/metrics",
        numbers,
        summary="Metrics",
        operation_id="metrics",
        response_class=Response,
        responses=refusals | text,
        dependencies=_security(needs_token),
    )


def tell_problems(app: "FastAPI", family: str, forms: Mapping[str, Form]) -> None:
    """Tell what is wrong with a request before it reaches the model, in the one form that problems have."""
    from fastapi import Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def invalid(request: Request, error: Any) -> "Response":
        path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
        fields = forms[path].request.model_fields if path in forms else {}
        return _refused(body_problem(error.errors(), fields))

    async def elsewhere(request: Request, error: Any) -> "Response":
        headers = dict(error.headers or {})
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is no such path; {family} here: {', '.join([*forms, '/health', '/metrics', '/docs'])}"
        elif error.status_code == 405:
            message = f"expected {headers.get('Allow', 'another method')}, got {request.method}"
        return _refused(ProblemError(error.status_code, message, headers=headers))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, elsewhere)


def _refusals(texts: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of problems."""
    from pydantic import BaseModel, Field

    class Problem(BaseModel):
        status: int
        message: str = Field(description="One sentence.")
        field: str = Field(default="", description="Of the body, where it is one.")
        expected: str = Field(default="", description="What it should have been.")
        got: Any = Field(default=None, description="The offending value.")

    class ProblemAnswer(BaseModel):
        error: Problem

    return {status: {"model": ProblemAnswer, "description": text} for status, text in texts.items()}


def _security(needs_token: bool) -> list[Any]:
    """The token as OpenAPI has it; it was checked before."""
    from fastapi import Depends
    from fastapi.security import HTTPBearer

    return [Depends(HTTPBearer(auto_error=False))] if needs_token else []


def _answered(status: int, content: Any, headers: Mapping[str, str] | None = None) -> "Response":
    from starlette.responses import Response

    return Response(to_json(content), status, headers, media_type="application/json")


def _refused(problem: ProblemError) -> "Response":
    return _answered(problem.status, problem.content(), problem.headers)
