"""The site: every public name is in the reference, links have anchors, and what looks at the built site sees faults."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts" / "site"
TEXTS = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for page in ROOT.glob(pattern)
}


def load(name: str) -> Any:
    """A script of the site, whose folder is no package."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


def test_every_public_name_has_an_entry_or_a_link_to_one():
    made = load("reference_pages").reference_pages()
    pages = {page.title: page.text for page in made}
    below = [page.text for package in made for page in package.below]
    entries = re.findall(r"^::: (\S+)$", "\n".join([*pages.values(), *below]), re.M)
    assert len(entries) == len(set(entries)) > 250
    stubs = [
        path.parent.relative_to(ROOT / "src").as_posix().replace("/", ".") for path in ROOT.glob("src/**/__init__.pyi")
    ]
    assert {"logq", "logq.nn", "logq.compat.tensorflow", "logq.recommenders.layers"} <= set(stubs)
    for module in [*stubs, "logq.objectives", "logq.hierarchical", "logq.huffman", "logq.compat.keras"]:
        opened, text = importlib.import_module(module), pages.get(module, "")
        for name in opened.__all__:
            value = getattr(opened, name)
            if name.startswith("__") or isinstance(value, type(importlib)):
                continue
            linked = re.search(rf"\[`{name}`\]\[(\S+)\]", text)
            assert linked, f"{module}.{name} is not on its page"
            assert linked[1] in entries
            home, _, short = linked[1].rpartition(".")
            assert getattr(importlib.import_module(home), short) is value


def test_what_a_class_inherits_is_described_once():
    pages = load("reference_pages")
    here, there = pages.inherited("logq.recommenders.SASRec")
    assert "fit" in there["logq.recommenders.Recommender"]
    assert not set(here) & {name for names in there.values() for name in names}
    assert "settings" in {*here, *(name for names in there.values() for name in names)}
    assert pages.inherited("logq.functional.sampled_loss") == ([], {})


def anchors_of(text: str) -> set[str]:
    """As code hosts and the site make them of headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_anchors_in_links_are_headings():
    found = 0
    for page, text in TEXTS.items():
        for target, anchor in re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", text):
            if not target.startswith("http"):
                other = ((ROOT / page).parent / target).resolve() if target else ROOT / page
                found += 1
                assert anchor in anchors_of(other.read_text(encoding="utf-8")), f"{page}: {target}#{anchor}"
    assert found >= 10


TABLE = """
<!-- bars: ms a step -->

| | words | ms a step |
|---|---|---|
| logq | | 25.5 (22.8 .. 41.3) |
| `torch`, <dense> | | 1,020 |
| no number | | |
"""


def test_bars_are_as_long_as_the_numbers():
    stash: list[str] = []
    text = load("table_bars").with_bars("page", TABLE, stash)
    assert text == TABLE.replace("<!-- bars: ms a step -->", "BARS0BARS")
    assert re.findall(r"width: ([\d.]+)%", stash[0]) == ["2.5", "100.0"]
    assert re.findall(r"<b>([^<]*)</b>", stash[0]) == ["25.5", "1,020"]
    assert "<code>torch</code>, &lt;dense&gt;" in stash[0]
    assert stash[0].count('class="ours"') == 1


@pytest.mark.parametrize("column", ["ms", "words"])
def test_a_mark_without_such_numbers_is_an_error(column):
    with pytest.raises(ValueError, match=column):
        load("table_bars").with_bars("page", TABLE.replace("bars: ms a step", f"bars: {column}"), [])


def test_marks_of_the_benchmarks_have_their_tables():
    stash: list[str] = []
    for page, text in TEXTS.items():
        load("table_bars").with_bars(page, text, stash)
    assert len(stash) >= 20


def test_faults_of_a_site_are_found(tmp_path, monkeypatch):
    check = load("check_site")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h2 id="here">x</h2><a href="../">up</a>', encoding="utf-8")
    page = tmp_path / "index.html"
    page.write_text(
        '<link rel="canonical" href="https://a.b/"><a href="other/#here">x</a><a href="https://a.b">y</a>', "utf-8"
    )
    assert not [*check.dead_links(tmp_path), *check.other_hosts(tmp_path)]
    page.write_text('<link rel="canonical" href="https://a.b/c/"><a href="/c/other/#here">x</a>', "utf-8")
    check.read.cache_clear()
    assert not check.dead_links(tmp_path)
    page.write_text('<link rel="canonical" href="https://a.b/c/"><a href="/other/"><a href="/c/none/">', "utf-8")
    check.read.cache_clear()
    assert [found.split()[1] for found in check.dead_links(tmp_path)] == ["/other/", "/c/none/"]
    faults = '<a href="other/#there"><a href="none/"><img src="no.svg"><a href="#gone"><script src="https://a.b/c.js">'
    page.write_text(faults, encoding="utf-8")
    (tmp_path / "sheet.css").write_text("@import url(//fonts.a.b/x.css)", encoding="utf-8")
    check.read.cache_clear()
    assert [found.split()[1] for found in check.dead_links(tmp_path)] == ["other/#there", "none/", "#gone", "no.svg"]
    assert len(check.other_hosts(tmp_path)) == 2
    assert "reference: logq.nn.TopK has no entry" in check.missing_entries(tmp_path)


def test_docstrings_become_markdown():
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    text = "Adds.\n\nShape:\n    (B, D).\n\nReferences:\n    A paper.\n\nExample:\n    >>> 1\n    1\n"
    assert load("docstring_markdown").markdown(text) == (
        "Adds.\n\n**Shape:** (B, D).\n\n**References:** A paper.\n\nExamples:\n    >>> 1\n    1\n"
    )


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    for needed in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    site = tmp_path / "site"
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(site)]
    built = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    assert not load("check_site").problems(site)
