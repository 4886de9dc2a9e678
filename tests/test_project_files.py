"""What packagers, code hosts and continuous integration read says the same as pyproject.toml."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import logq

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOR_DEVELOPERS = {"all", "bench", "dev", "docs", "test"}
COMPILED = {"hnswlib"}  # on the machine of its user, as it has no wheels
CLUSTERS = {"spark", "ray"}  # hundreds of megabytes, of the version that a cluster has
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_version_is_the_same_everywhere():
    """It is written in logq/__init__.py, which pyproject.toml reads; files that cannot read it are held to it."""
    assert PROJECT["tool"]["scikit-build"]["metadata"]["version"]["input"] == "src/logq/__init__.py"
    released = re.findall(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    citation = read("CITATION.cff")
    assert (citation["version"], str(citation["date-released"])) == released[0]
    assert released[0][0] == read("recipe/recipe.yaml")["context"]["version"] == logq.__version__


def test_all_is_every_extra_that_a_user_may_want():
    extras = PROJECT["project"]["optional-dependencies"]
    [everything] = extras["all"]
    assert (
        set(re.fullmatch(r"logq\[(.*)\]", everything)[1].split(","))
        == set(extras) - FOR_DEVELOPERS - COMPILED - CLUSTERS
    )


def test_addresses_are_those_of_the_project():
    urls = PROJECT["project"]["urls"]
    assert set(urls) >= {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    citation, about = read("CITATION.cff"), read("recipe/recipe.yaml")["about"]
    assert citation["repository-code"] == about["repository"] == urls["Source"]
    assert citation["url"] == about["documentation"] == urls["Documentation"]
    assert f"site_url: {urls['Documentation']}\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def requirement(text: str) -> tuple[str, str]:
    """Name and lower bound, as conda spells them."""
    name, bound = re.match(r"([\w-]+) ?>=([\d.]+)", text).groups()
    return {"torch": "pytorch"}.get(name, name.replace("-", "_")), bound


def test_the_recipe_needs_what_the_package_needs():
    needs = read("recipe/recipe.yaml")["requirements"]
    run = [need["then"] if isinstance(need, dict) else need for need in needs["run"] if need != "python"]
    assert dict(map(requirement, run)) == dict(map(requirement, PROJECT["project"]["dependencies"]))
    host = [need for need in needs["host"] if need not in {"python", "pip"}]
    assert dict(map(requirement, host)) == dict(map(requirement, PROJECT["build-system"]["requires"]))


def test_workflows_cover_the_pythons_of_the_package():
    named = [name.rpartition(" ")[2] for name in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", name)]
    ci, wheels = read(".github/workflows/ci.yml"), PROJECT["tool"]["cibuildwheel"]
    assert ci["jobs"]["checks"]["strategy"]["matrix"]["python"] == named
    assert wheels["build"] == [f"cp{name.replace('.', '')}-*" for name in named]
    for workflow in ROOT.glob(".github/workflows/*.yml"):
        read_again = read(workflow.relative_to(ROOT).as_posix())
        assert read_again["permissions"] == {"contents": "read"}, workflow
        for job in read_again["jobs"].values():
            assert job.get("timeout-minutes") or "environment" in job
            for step in job["steps"]:
                for path in re.findall(r"\btests/\S+", step.get("run", "")):
                    assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_asks_something(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names)) >= 2
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_actions_of_workflows_are_pinned_to_commits():
    """A tag can be moved to other code. Those of pypa follow their releases, as whose tags they are made."""
    used = [
        line.split("uses:")[1].strip()
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert len(used) >= 10
    loose = [one for one in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)]
    assert {one.partition("@")[0] for one in loose} <= {"pypa/cibuildwheel", "pypa/gh-action-pypi-publish"}
