"""A corpus that comes with Python: its language reference and the docstrings of its standard library.

It has about 320,000 words, enough for skip-gram to find that `list` is near `tuple`.
"""

import ast
import contextlib
import gc
import re
import sysconfig
import warnings
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import cast

__all__ = ["parse_source", "paused_collection", "python_reference", "source_files"]

# Tests and bundled copies say nothing about the language; pydoc_data is the reference itself and read as such.
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__", "pydoc_data"}

_ROLE = re.compile(r":[a-z][\w:+.-]*:(?=`)")  # the :func: of :func:`len`
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")
# Words and names, dotted (os.path) or hyphened (built-in), with at least one letter; "don't" stays one word.
_WORD = re.compile(
    r"""(?<![\w])                          # not in the middle of a number such as 0x1f
        (?=_*[^\W\d_])[^\W\d]\w*           # a name
        (?:[.-](?=_*[^\W\d_])[^\W\d]\w*)*  # and what is tied to it
        (?:['\u2019](?:t|re|ll|ve|d|m)\b)?
    """,
    re.VERBOSE,
)


def python_reference() -> list[list[str]]:
    """Return the paragraphs of Python's language reference and standard library docstrings as lists of words.

    The topics of `pydoc_data` come first, by name, then the docstrings of the library's source files, by path. Files
    are parsed, never imported. Words are in lower case, without markup, numbers and punctuation; dotted and underscored
    names are one word. The same Python gives the same result; another version has another text. Takes a few seconds.

    Returns:
        Sentences, one for each paragraph: a corpus as `logq.text.Corpus` and `Vocabulary.build` take it.

    Raises:
        FileNotFoundError: this Python comes without its reference (`pydoc_data.topics`) or its source files.

    Example:
        >>> sentences = python_reference()
        >>> sentences[1][:8]
        ['assert', 'statements', 'are', 'a', 'convenient', 'way', 'to', 'insert']
    """
    with paused_collection():
        texts = [*_topics(), *_docstrings(Path(sysconfig.get_paths()["stdlib"]))]
    return [words for text in texts for paragraph in re.split(r"\n\s*\n", text) if (words := _words(paragraph))]


@contextlib.contextmanager
def paused_collection() -> Generator[None, None, None]:
    """Pause the search for unreachable cycles, of which syntax trees have none: it doubles the time to parse.

    Example:
        >>> with paused_collection():
        ...     gc.isenabled()
        False
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def source_files(folder: Path, skipped: Collection[str]) -> list[Path]:
    """Return the source files in a folder, sorted by path, without those in subfolders to skip.

    Raises:
        FileNotFoundError: there are none.

    Example:
        >>> source_files(Path("nowhere"), [])
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere: expected source files of Python, found none
    """
    files = [path for path in folder.rglob("*.py") if set(skipped).isdisjoint(path.relative_to(folder).parts[:-1])]
    if not files:
        raise FileNotFoundError(f"{folder}: expected source files of Python, found none")
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def parse_source(path: Path) -> ast.Module | None:
    """Return the syntax tree of a file, or None if it is not Python: some distributions add others, such as templates.

    Example:
        >>> parse_source(Path("nowhere.py")) is None
        True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the library's own source, such as invalid escapes
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return None


def _topics() -> Iterator[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FileNotFoundError(
            "pydoc_data.topics: this Python comes without its language reference, from which the corpus is made; pass "
            "a text file of your own instead"
        ) from None
    for name in sorted(topics):
        yield topics[name]


def _docstrings(library: Path) -> Iterator[str]:
    for path in source_files(library, _SKIPPED):
        if (tree := parse_source(path)) is not None:
            yield from _docstrings_in(tree)


def _docstrings_in(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a tree in the order of its source."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield ast.get_docstring(node) or ""
    # Statements hold further ones in these fields. Expressions, most of a tree, have no docstrings: ast.walk would
    # visit them all.
    for field in ("body", "handlers", "orelse", "finalbody"):
        inner = getattr(node, field, None)
        if isinstance(inner, list):  # the body of a lambda is not a list
            for statement in cast("list[ast.AST]", inner):
                yield from _docstrings_in(statement)


def _words(paragraph: str) -> list[str]:
    """Return the words of a text in lower case.

    Example:
        >>> _words("See :func:`os.path.join`, 3 built-in *types* and ``x_1`` ----- don't use list's 0x1f.")
        ['see', 'os.path.join', 'built-in', 'types', 'and', 'x_1', "don't", 'use', 'list']
    """
    text = _POSSESSIVE.sub("", _ROLE.sub("", paragraph))
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]
