"""Problems: everything that is wrong with a request, in one form of JSON, and the status that goes with it.

{"error": {"status": 422, "message": "k: expected an integer >= 1, got 0",
"field": "k", "expected": "an integer >= 1", "got": 0}}
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

from logq._arguments import BadArgumentError, Verbatim, shown
from logq.folders.id_reading import UnknownIdError
from logq.serving.batching import Busy
from logq.vectors.nearest_words import UnknownWord

__all__ = ["ProblemError", "body_problem", "problem_of", "to_json"]

log = logging.getLogger("logq.serving")

# What arguments of the library are called in a request, where that is another name.
_FIELDS = {"histories": "history", "users": "user", "topn": "k", "sentence": "text", "index": "", "log": ""}
# What pydantic's kinds of errors are in the words of this library.
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "int_type": "an integer",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "string_too_long": "at most {max_length} characters",
    "string_type": "a string",
    "string_unicode": "a string of Unicode characters",
    "too_long": "at most {max_length} values",
    "too_short": "at least {min_length} values",
}
_COMPARED = 1000  # words or ids among which those near an unknown one are looked for
_SHORT = 200  # characters of an offending value that are given back


class ProblemError(Exception):
    """A request cannot be answered.

    Args:
        status: of HTTP.
        message: one sentence.
        field: of the body, "" where it is none.
        expected: what it should have been.
        got: the offending value.
        headers: of the answer.

    Example:
        >>> ProblemError(404, "there is no such path").content()
        {'error': {'status': 404, 'message': 'there is no such path'}}
    """

    def __init__(
        self,
        status: int,
        message: str,
        field: str = "",
        expected: str = "",
        got: Any = Verbatim(""),  # noqa: B008 - a constant
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status, self.message, self.field, self.expected, self.got = status, message, field, expected, got
        self.headers = dict(headers or {})

    @classmethod
    def of_field(cls, status: int, field: str, expected: str, got: Any, hint: str = "") -> "ProblemError":
        """A field that is wrong."""
        message = BadArgumentError(field, expected, got, hint).message(field)
        return cls(status, message, field, expected, got)

    def content(self) -> dict[str, Any]:
        """What the body of the answer has."""
        error: dict[str, Any] = {"status": self.status, "message": self.message}
        if self.field:
            error["field"] = self.field
        if self.expected:
            error["expected"] = self.expected
        if not (isinstance(self.got, Verbatim) and not self.got):
            error["got"] = _plain(self.got)
        return {"error": error}


def problem_of(error: Exception, asked: Mapping[str, Any] | None = None) -> ProblemError:
    """What to answer for an error of a model; what no request can be blamed for is told as ours.

    Args:
        error: of a question.
        asked: its body, in which an unknown word or id is looked for.

    Example:
        >>> from logq import ArgumentError
        >>> problem_of(ArgumentError("topn", "an integer >= 0", -1)).content()["error"]["field"]
        'k'
        >>> problem_of(ZeroDivisionError()).status
        500
    """
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, Busy):
        return ProblemError(503, "too many requests wait; try again", headers={"Retry-After": "1"})
    if isinstance(error, UnknownIdError):
        field = _place(asked or {}, error.word) or error.what
        known = f"one of the {error.num_known:,} {error.what}s of the log"
        if not error.num_known:
            known = f"none, as the model was saved without its {error.what}s"
        elif _is_quick(error.num_known, error.word):
            known = f"{known}; {error.some}"
        return ProblemError.of_field(404, field, known, error.word)
    if isinstance(error, UnknownWord):
        near = error.suggestions if _is_quick(error.num_known, error.word) else []
        closest = f"; the closest are {', '.join(near)}" if near else ""
        field = _place(asked or {}, error.word) or "word"
        return ProblemError.of_field(404, field, f"one of the {error.num_known:,} known words{closest}", error.word)
    if isinstance(error, BadArgumentError):
        field = _FIELDS.get(error.name, error.name)
        return ProblemError(422, error.message(field), field, error.expected, error.got)
    if isinstance(error, ValueError | NotImplementedError):
        return ProblemError(422, str(error) or "the model cannot answer this")
    log.error("a request failed", exc_info=error)
    return ProblemError(500, "the request failed inside of the service; its log says why")


def body_problem(errors: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> ProblemError:
    """What to answer for the first error that pydantic finds in a body.

    Args:
        errors: of pydantic.
        fields: that the body may have.
    """
    first = next(iter(errors))
    kind, message, more = first["type"], str(first["msg"]), first.get("ctx", {})
    field = ""
    # Behind the names of fields pydantic says which type of a union it tried.
    for part in first["loc"][1:]:
        if isinstance(part, int):
            field += f"[{part}]"
        elif not field:
            field = str(part)
    if kind == "json_invalid":
        return ProblemError(400, f"the body: expected JSON, got something else ({more.get('error', message)})")
    if kind == "one_of":
        return ProblemError.of_field(422, more["field"], more["expected"], Verbatim(more["chosen"]))
    if kind in ("model_attributes_type", "model_type") and not field:
        return ProblemError(422, "the body: expected a JSON object, got another value", "", "a JSON object")
    if kind == "missing":
        if not field:
            return ProblemError(422, "the body: expected a JSON object, got none", "", "a JSON object")
        return ProblemError.of_field(422, field, "a value", Verbatim("none"))
    if kind == "extra_forbidden":
        return ProblemError.of_field(422, field, f"one of the fields {', '.join(fields)}", field)
    plain = message.removeprefix("Input should be ")
    expected = _EXPECTED.get(kind, plain[:1].lower() + plain[1:]).format(**more)
    if not field:
        return ProblemError(422, f"the body: expected {expected}", "", expected, first.get("input"))
    return ProblemError.of_field(422, field, expected, first.get("input"))


def to_json(content: Any) -> bytes:
    r"""JSON as bytes; half of a surrogate pair, which no UTF-8 has, stays an escape.

    Example:
        >>> to_json({"a": "\ud800"}).decode()
        '{"a":"\\ud800"}'
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _is_quick(known: int, word: str) -> bool:
    """Whether to look for what is near: that compares letters with all that is known, and others wait meanwhile."""
    return known <= _COMPARED and len(word) <= _SHORT


def _place(asked: Any, word: str) -> str:
    """Where a body has a word or an id: "history[2]"; "" where it has it nowhere."""
    if isinstance(asked, Mapping):
        inner = ((str(name), value) for name, value in asked.items())
    elif isinstance(asked, list):
        inner = ((f"[{place}]", value) for place, value in enumerate(asked))
    else:
        return ""
    for name, value in inner:
        if isinstance(value, str | int) and str(value) == word:
            return name
        if found := _place(value, word):
            return name + found
    return ""


def _plain(value: Any) -> Any:
    """An offending value, as JSON can hold it and nobody is flooded."""
    if isinstance(value, Verbatim):
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, str) and len(value) <= _SHORT:
        return value
    return shown(value)
