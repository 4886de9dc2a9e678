"""Docstrings as mkdocstrings reads them: an extension of griffe, which reads the source without running it.

Ours are Google's with three sections more. An estimator's arguments are the fields of its Config, which its docstring
gets when the class is made: there the docstring of the running class stands in.
"""

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import griffe

sys.path.append(str(Path(__file__).parent))
from reference_pages import inherited, public_names, value_of

from logq.training.config import Config

__all__ = ["DocstringMarkdown"]


class DocstringMarkdown(griffe.Extension):
    """Rewrites every docstring of logq, and says of public classes what they inherit."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Once logq is read: docstrings of configurations first, then all of them."""
        if pkg.name != "logq":
            return
        for name, home in public_names().items():
            if name == home:
                describe(pkg, name)
        rewrite(pkg)


def describe(pkg: griffe.Module, name: str) -> None:
    """Write what a public class takes and inherits into its docstring."""
    value = value_of(name)
    if not inspect.isclass(value):
        return
    known = pkg[f"{value.__module__}.{value.__qualname__}".removeprefix("logq.")]
    text = known.docstring.value if known.docstring else ""
    if issubclass(value, Config):
        text = with_types(inspect.getdoc(value) or "", value)
    for base, members in inherited(name)[1].items():
        links = ", ".join(f"[`{member}`][{base}.{member}]" for member in members)
        text += f"\n\nInherited from [`{base.rpartition('.')[2]}`][{base}]: {links}.\n"
    known.docstring = griffe.Docstring(text, parent=known, lineno=known.lineno, endlineno=known.endlineno)


def with_types(text: str, config: type[Config]) -> str:
    """The arguments of a configuration with their types, which griffe finds in no signature."""
    for name, option in config.options().items():
        kind = inspect.formatannotation(option.hint).replace("collections.abc.", "").replace("typing.", "")
        text = re.sub(rf"(?m)^    {name}: ", lambda _, name=name, kind=kind: f"    {name} ({kind}): ", text, count=1)
    return text


def rewrite(known: griffe.Object) -> None:
    """Rewrite the docstrings of an object and of its members."""
    if known.docstring:
        known.docstring.value = markdown(known.docstring.value)
    for member in known.members.values():
        if not member.is_alias:
            rewrite(member)


def markdown(text: str) -> str:
    """Sections as griffe knows them, and those that it does not know as paragraphs."""
    text = re.sub(r"(?m)^Example:$", "Examples:", text)
    sections = r"(?m)^(Shape|References|Keys):\n((?:    .*\n?|\n(?=    ))+)"
    return re.sub(sections, lambda found: f"**{found[1]}:** {textwrap.dedent(found[2]).strip()}\n", text)
