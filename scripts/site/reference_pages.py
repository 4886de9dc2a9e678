"""Pages of the reference: one for each package, with an entry for each name in its `__all__`.

A page lists its names with the first sentence of their docstrings, then has an entry for each, which mkdocstrings fills
in. A name that a package only passes on, such as `logq.Word2Vec`, is a link to the package where it is at home.
Recommenders have many arguments, so that each has a page of its own.
"""

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["ReferencePage", "inherited", "linked_names", "public_names", "reference_pages", "value_of"]

PAGE_PER_NAME = {"logq.recommenders"}
HIDDEN = {"extra_repr"}  # for torch alone; mkdocs.yml filters it too


@dataclass(frozen=True)
class ReferencePage:
    """A page: where it is, how the navigation calls it, its text, and the pages that stand below it."""

    path: str
    title: str
    text: str
    below: tuple["ReferencePage", ...] = ()


def public_modules(name: str = "logq") -> list[str]:
    """The package, all modules that are public names of it or of those, and packages in it that export names."""
    module = importlib.import_module(name)
    inner = {public for public in module.__all__ if isinstance(getattr(module, public), ModuleType)}
    inner |= {
        stub.parent.name for folder in getattr(module, "__path__", ()) for stub in Path(folder).glob("*/__init__.pyi")
    }
    return [name, *(found for other in sorted(inner) for found in public_modules(f"{name}.{other}"))]


def public_values(module: str) -> dict[str, Any]:
    """The public names of a module in their order, without inner modules."""
    opened = importlib.import_module(module)
    values = {name: getattr(opened, name) for name in opened.__all__ if not name.startswith("__")}
    return {name: value for name, value in values.items() if not isinstance(value, ModuleType)}


@cache
def public_names() -> dict[str, str]:
    """All public names but modules, and the name under which each is described: mostly its own."""
    homes: dict[int, str] = {}
    found: dict[str, str] = {}
    for module in sorted(public_modules(), key=lambda module: (module == "logq", module)):
        for short, value in public_values(module).items():
            name = f"{module}.{short}"
            # Equal constants may be one object, and are two names all the same.
            found[name] = homes.setdefault(id(value), name) if is_code(value) else name
    return found


def value_of(name: str) -> Any:
    """What a public name stands for."""
    module, _, short = name.rpartition(".")
    return getattr(importlib.import_module(module), short)


def is_code(value: Any) -> bool:
    """Whether it is a class or a function."""
    return inspect.isclass(value) or inspect.isfunction(value)


def package_path(module: str) -> str:
    """The path of the page of a package."""
    return f"reference/{module}/index.md" if module in PAGE_PER_NAME else f"reference/{module}.md"


def page_of(home: str) -> str:
    """The path of the page that describes a name."""
    module, _, name = home.rpartition(".")
    return f"reference/{module}/{name}.md" if module in PAGE_PER_NAME else package_path(module)


@cache
def linked_names() -> dict[str, tuple[str, str]]:
    """What code in a text may say for a public name: the page and the anchor of its entry.

    That is the whole name, and of a class also its last part. Packages need no anchor.
    """
    links = {module: (package_path(module), "") for module in public_modules()}
    for name, home in public_names().items():
        links[name] = (page_of(home), home)
        if inspect.isclass(value_of(name)):
            links.setdefault(name.rpartition(".")[2], links[name])
    return links


def inherited(name: str) -> tuple[list[str], dict[str, list[str]]]:
    """What a public class inherits: members that are described with it, and by public base those described there."""
    owner = value_of(name)
    here: list[str] = []
    there: dict[str, list[str]] = {}
    if not inspect.isclass(owner):
        return here, there
    homes = {id(value_of(home)): home for home in public_names().values()}
    ours = [base for base in owner.__mro__[1:] if base.__module__.startswith("logq")]
    for base in ours:
        for member, value in vars(base).items():
            if (
                member.startswith("_")
                or member in HIDDEN
                or not is_written_in(base, value)
                or not has(owner, member, value)
            ):
                continue
            public = [homes[id(other)] for other in ours if id(other) in homes and has(other, member, value)]
            if public:
                there.setdefault(public[-1], []).append(member)
            else:
                here.append(member)
    return here, there


def is_written_in(base: type, value: Any) -> bool:
    """Whether a member is a method or a property with a docstring, and no function from elsewhere."""
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    return bool(inspect.isfunction(function) and function.__doc__) and function.__qualname__.startswith(
        f"{base.__qualname__}."
    )


def has(owner: type, member: str, value: Any) -> bool:
    """Whether this is what a class has or inherits under that name."""
    return inspect.getattr_static(owner, member, None) is value


def reference_pages() -> list[ReferencePage]:
    """All pages, the list of packages first."""
    modules = public_modules()
    paths = {module: package_path(module).removeprefix("reference/") for module in modules}
    rows = [
        f"| [`{module}`]({paths[module]}) | {first_sentence(importlib.import_module(module))} |" for module in modules
    ]
    text = "\n".join(["# Reference", "", "| package | |", "|---|---|", *rows, ""])
    return [ReferencePage("reference/index.md", "Reference", text), *map(package_page, modules)]


def package_page(module: str) -> ReferencePage:
    """The page of a package, with those of its names below it if each has its own."""
    names = public_values(module)
    lines = [f"# `{module}`", "", inspect.getdoc(importlib.import_module(module)) or "", ""]
    if names:
        lines += ["| name | |", "|---|---|"]
    for name, value in names.items():
        lines.append(f"| [`{name}`][{public_names()[f'{module}.{name}']}] | {first_sentence(value)} |")
    own = [name for name in names if public_names()[f"{module}.{name}"] == f"{module}.{name}"]
    below: tuple[ReferencePage, ...] = ()
    if module in PAGE_PER_NAME:
        texts = {name: f"---\ntitle: {name}\n---\n\n{entry(f'{module}.{name}', level=1)}" for name in own}
        below = tuple(ReferencePage(page_of(f"{module}.{name}"), name, text) for name, text in texts.items())
    else:
        lines += [entry(f"{module}.{name}", level=2) for name in own]
    return ReferencePage(package_path(module), module, "\n".join([*lines, ""]), below)


def entry(name: str, *, level: int) -> str:
    """What mkdocstrings makes an entry of."""
    options = {"show_root_heading": "true", "heading_level": level, "inherited_members": inherited(name)[0]}
    return "\n".join(
        [f"\n::: {name}", "    options:", *(f"      {option}: {value}" for option, value in options.items()), ""]
    )


def first_sentence(value: Any) -> str:
    """What stands in a table about it."""
    if not (inspect.ismodule(value) or is_code(value)):
        return ""
    paragraph = (inspect.getdoc(value) or "").split("\n\n")[0]
    return re.split(r"(?<=[.])\s", " ".join(paragraph.split()))[0].replace("|", r"\|")
