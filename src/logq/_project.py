"""What the installed package says of itself: its version, its extras, and where its pages are.

The version is said in `logq/__init__.py`, all else in pyproject.toml; both are read from the metadata that an
installation has.
"""

from functools import cache
from typing import Any, NamedTuple

__all__ = [
    "Needed",
    "check_installed",
    "extras",
    "home",
    "install_line",
    "load_optional",
    "page",
    "requirements",
    "version",
]


class Needed(NamedTuple):
    """A package that logq, or an extra of it, asks for.

    Args:
        name: as a package index has it.
        versions: which are wanted, such as ">=2.6".

    Example:
        >>> torch = Needed("torch", ">=2.6")
        >>> torch.is_met_by("2.5.1"), torch.is_met_by("2.6.0"), torch.is_met_by("2.10.1+cpu")
        (False, True, True)
    """

    name: str
    versions: str

    def is_met_by(self, version: str) -> bool:
        """Whether that version of the package is one of those wanted; one that nobody can compare counts as such."""
        from packaging.specifiers import SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            return SpecifierSet(self.versions).contains(Version(version), prereleases=True)
        except InvalidVersion:
            return True


@cache
def _metadata() -> Any:
    import importlib.metadata  # half of what a command needs to start

    try:
        return importlib.metadata.metadata("logq")
    except importlib.metadata.PackageNotFoundError:  # sources on the path, never installed
        return None


def version() -> str:
    """The version that is installed; "unknown" where the sources were never installed.

    Example:
        >>> version().count(".") >= 1 or version() == "unknown"
        True
    """
    found = _metadata()
    return "unknown" if found is None else str(found["Version"])


def home() -> str:
    """The address of the project; "" where the sources were never installed.

    Example:
        >>> home() == "" or home().startswith("https://")
        True
    """
    return _addresses().get("Source", "")


def page(path: str) -> str:
    """The address of a page on the site, by its path in the repository; the path, where that is not known.

    Example:
        >>> page("docs/large-logs.md").rstrip("/").removesuffix(".md").endswith("/large-logs")
        True
    """
    documentation = _addresses().get("Documentation")
    name = path.removeprefix("docs/").removesuffix(".md").lower()  # as scripts/site/site_pages.py has it
    return path if documentation is None else f"{documentation.rstrip('/')}/{name}/"


def _addresses() -> dict[str, str]:
    found = _metadata()
    lines = [] if found is None else found.get_all("Project-URL") or []
    return dict(line.split(", ", 1) for line in lines)


def install_line(*names: str) -> str:
    """What is typed to install extras.

    Example:
        >>> install_line("hub"), install_line("logs", "map")
        ("pip install 'logq[hub]'", "pip install 'logq[logs,map]'")
    """
    return f"pip install 'logq[{','.join(names)}]'"


def check_installed(purpose: str, extra: str, *modules: str) -> None:
    """Check that what an extra installs is there, before any work after which it would be missing.

    Args:
        purpose: what it is needed for.
        extra: of logq.
        modules: that are imported; packages have the same names, with - for _.

    Raises:
        ModuleNotFoundError: one is not installed; the message says how to.

    Example:
        >>> check_installed("this index", "faiss", "faiss")
        >>> check_installed("this", "hub", "no_such", "json", "neither")
        Traceback (most recent call last):
        ...
        ModuleNotFoundError: this needs no-such and neither: pip install 'logq[hub]'
    """
    from importlib.util import find_spec

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = " and ".join(module.replace("_", "-") for module in missing)
        raise ModuleNotFoundError(f"{purpose} needs {names}: {install_line(extra)}", name=missing[0])


def load_optional(purpose: str, extra: str, module: str) -> Any:
    """Import a module that an extra installs; see `check_installed`.

    Example:
        >>> load_optional("this index", "usearch", "usearch.index").__name__
        'usearch.index'
    """
    import importlib

    check_installed(purpose, extra, module.partition(".")[0])
    return importlib.import_module(module)


def requirements() -> list[Needed]:
    """What every installation needs.

    Example:
        >>> [one.name for one in requirements() if one.name == "torch"]
        ['torch']
    """
    return [needed for needed, extra in _listed() if extra is None]


def extras() -> dict[str, list[Needed]]:
    """What each extra asks for beside that; of extras that consist of others, what those others do not name.

    Example:
        >>> [one.name for one in extras()["logs"]]
        ['polars']
    """
    listed = _listed()
    return {name: [needed for needed, extra in listed if extra == name] for name in _extra_names()}


def _extra_names() -> list[str]:
    found = _metadata()
    return [] if found is None else found.get_all("Provides-Extra") or []


def _listed() -> list[tuple[Needed, str | None]]:
    """Each requirement of this Python and system, and the extra that it is of; without extras of logq."""
    from packaging.requirements import Requirement

    found, names = _metadata(), _extra_names()
    listed: list[tuple[Needed, str | None]] = []
    for line in [] if found is None else found.get_all("Requires-Dist") or []:
        one = Requirement(line)
        needed = Needed(one.name, str(one.specifier))
        if one.name == "logq":
            continue
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            listed.append((needed, None))
        else:
            listed += [(needed, name) for name in names if one.marker.evaluate({"extra": name})]
    return listed
