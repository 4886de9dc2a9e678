"""What the package says of itself comes from pyproject.toml, by way of the metadata of an installation."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging import markers

import logq
from logq import _project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installation of what pyproject.toml says now, whatever this environment was made of."""
    lines = ["Metadata-Version: 2.4", "Name: logq", f"Version: {logq.__version__}"]
    lines += [f"Project-URL: {name}, {url}" for name, url in PROJECT["urls"].items()]
    lines += [f"Requires-Dist: {one}" for one in PROJECT["dependencies"]]
    for extra, several in PROJECT["optional-dependencies"].items():
        lines.append(f"Provides-Extra: {extra}")
        for one in several:
            name, _, marker = one.partition(";")
            also = f"({marker.strip()}) and " if marker else ""
            lines.append(f'Requires-Dist: {name.strip()}; {also}extra == "{extra}"')
    folder = tmp_path / "logq.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    found = importlib.metadata.PathDistribution(folder).metadata
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: found)
    _project._metadata.cache_clear()
    yield
    _project._metadata.cache_clear()


@pytest.fixture
def not_installed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", missing)
    _project._metadata.cache_clear()
    yield
    _project._metadata.cache_clear()


@pytest.mark.usefixtures("installed")
def test_addresses_versions_and_extras_are_those_of_pyproject():
    assert _project.version() == logq.__version__
    assert _project.home() == PROJECT["urls"]["Source"]
    assert _project.page("docs/large-logs.md") == f"{PROJECT['urls']['Documentation']}large-logs/"
    extras = _project.extras()
    assert list(extras) == list(PROJECT["optional-dependencies"])
    assert extras["map"] == [_project.Needed("opentsne", ">=1.0.2")]
    assert extras["postgres"] == [_project.Needed("psycopg", ">=3.1")]  # psycopg[binary]
    assert [one.name for one in extras["serve"]] == ["fastapi", "uvicorn", "prometheus-client"]
    assert "logq" not in {one.name for one in extras["test"]}
    needed = {one.name for one in _project.requirements()}
    assert {"torch", "numpy", "typer"} <= needed
    assert ("tomli" in needed) == (sys.version_info < (3, 11))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
@pytest.mark.parametrize("version", ["3.10", "3.12"])
def test_requirements_are_those_of_the_system_and_of_this_python(monkeypatch, system, version):
    here = {**markers.default_environment(), "platform_system": system, "python_version": version}
    monkeypatch.setattr(markers, "default_environment", lambda: {**here})
    assert ("tomli" in {one.name for one in _project.requirements()}) == (version == "3.10")
    milvus = [one.name for one in _project.extras()["milvus"]]
    assert milvus == (["pymilvus"] if system == "Windows" else ["pymilvus", "milvus-lite"])


@pytest.mark.usefixtures("not_installed")
def test_sources_that_were_never_installed_go_without():
    assert (_project.version(), _project.home(), _project.extras(), _project.requirements()) == ("unknown", "", {}, [])
    assert _project.page("docs/large-logs.md") == "docs/large-logs.md"


def test_extras_that_messages_name_are_there():
    root = Path(__file__).parents[1]
    sources = [
        path.read_text(encoding="utf-8") for folder in ("src", "docs") for path in (root / folder).rglob("*.*[dy]")
    ]
    named = {
        name for text in sources for several in re.findall(r"logq\[([\w,]+)\]", text) for name in several.split(",")
    }
    named |= {name for text in sources for name in re.findall(r"install_line\([\"'](\w+)", text)}
    by_function = r"(?:check_installed|load_optional)\(\"[^\"]+\", \"(\w+)\""
    named |= {name for text in sources for name in re.findall(by_function, text)}
    assert named >= {"hub", "serve", "onnx", "logs"}
    assert named <= set(PROJECT["optional-dependencies"])


def test_pages_that_messages_name_are_there():
    """By `page`, so that a message has the whole address."""
    root = Path(__file__).parents[1]
    named = [
        (path, found)
        for path in (root / "src").rglob("*.py")
        if path.name != "_project.py"
        for found in re.findall(r"""\bpage\(["'](.+?)["']\)""", path.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 4
    assert not [(path.name, page) for path, page in named if not (root / page).is_file()]
