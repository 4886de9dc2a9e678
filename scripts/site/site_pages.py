"""Hooks of mkdocs: pages are read where they are in the repository, notebooks are run, and the reference is made.

Pages keep their paths in the repository, so that links between them work on a code host, in an editor and on the site
alike; only their addresses on the site are shorter. What they link to and is no page, such as a script, goes along.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

sys.path.append(str(Path(__file__).parent))
from notebook_pages import executed
from reference_pages import ReferencePage, linked_names, reference_pages
from table_bars import placeholder, with_bars

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("*.md", "docs/**/*.md", "benchmarks/*.md", "benchmarks/results/*.md")
NOTEBOOKS = "docs/start/*.py"
ASSETS = ("docs/**/*.svg", "scripts/site/*.css")
LEFT_AS_IT_IS = re.compile(r"(<pre.*?</pre>|<a\b.*?</a>|<h[1-6].*?</h[1-6]>)", re.S)
NOTEBOOK_LINK = re.compile(r"(\]\((?:[^)\s]*/)?start/\w+)\.py\)")

BARS: list[str] = []
"""Of the tables so far."""


class NoHtml(Extension):
    """Takes `<x, y>` for what it is in this repository, an inner product, and never for HTML."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: the reference, results of benchmarks, and guides that it does not name."""
    config.markdown_extensions.append(NoHtml())
    named = set(paths_in(config.nav))
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] = [titled(page) for page in reference_pages()]
        if "Guides" in entry:
            guides = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
            entry["Guides"] += [path for path in guides if path not in named]
        if "Benchmarks" in entry:
            results = sorted(ROOT.glob("benchmarks/results/*.md"), key=lambda path: path.stem, reverse=True)
            entry["Benchmarks"] += [{"Results": [path.relative_to(ROOT).as_posix() for path in results]}]
    return config


def paths_in(navigation: object) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, (list, dict)):
        for part in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from paths_in(part)


def titled(page: ReferencePage) -> object:
    """An entry of the navigation."""
    if page.below:
        return {page.title: [page.path, *map(titled, page.below)]}
    return page.path if page.path.endswith("index.md") else {page.title: page.path}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site instead of those of one folder."""
    paths = {path.relative_to(ROOT).as_posix() for pattern in PAGES + ASSETS for path in ROOT.glob(pattern)}
    notebooks = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(NOTEBOOKS)}
    for page in [path for path in paths if path.endswith(".md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8")):
            linked = (ROOT / page).parent.joinpath(target).resolve()
            if linked.is_file() and linked.is_relative_to(ROOT):
                paths.add(linked.relative_to(ROOT).as_posix())
    paths -= notebooks
    kept = [file for file in files if file.src_dir != config.docs_dir]  # those of the theme
    kept += [file_of(path, config) for path in sorted(paths)]
    for page in reference_pages():
        for made in (page, *page.below):
            kept.append(File.generated(config, made.path, content=made.text))
    for path in sorted(ROOT.glob(NOTEBOOKS)):
        kept += notebook_files(path, config)
    return Files(kept)


def notebook_files(path: Path, config: MkDocsConfig) -> Iterator[File]:
    """The page of a notebook, and the notebook with its outputs."""
    source = path.relative_to(ROOT).with_suffix(".md").as_posix()
    ran = executed(path.read_text(encoding="utf-8"))
    note = f"[This notebook, to open in Jupyter]({path.stem}.ipynb)"
    page = File.generated(config, source, content=f"{ran.markdown}\n{note}\n")
    page.dest_uri = page.dest_uri.removeprefix("docs/")
    yield page
    file = File.generated(config, source.removesuffix("md") + "ipynb", content=ran.file)
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    yield file


def file_of(path: str, config: MkDocsConfig) -> File:
    """A file of the repository, at a shorter address on the site."""
    file = File(path, str(ROOT), config.site_dir, config.use_directory_urls)
    shown = file.dest_uri.removeprefix("docs/")
    if file.is_documentation_page():
        shown = shown.lower()
    elif not path.endswith((".svg", ".css")):
        shown += ".txt"  # a browser shows it
    file.dest_uri = shown
    return file


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Draw the bars that tables ask for; the home page has nothing beside it to choose from."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    markdown = NOTEBOOK_LINK.sub(r"\1.md)", markdown)
    return with_bars(page.file.src_uri, markdown, BARS)


def on_page_content(content: str, page: Page, files: Files, **_: object) -> str:
    """Put bars in their places, and make links to the reference of public names in code."""

    def link(found: re.Match[str]) -> str:
        path, home = linked_names().get(found[1], ("", ""))
        target = files.get_file_from_path(path)
        if target is None or path == page.file.src_uri:
            return found[0]
        anchor = home and f"#{home}"
        return f'<a href="{get_relative_url(target.url, page.url)}{anchor}">{found[0]}</a>'

    parts = LEFT_AS_IT_IS.split(content)
    parts[::2] = [re.sub(r"<code>([\w.]+)</code>", link, part) for part in parts[::2]]
    whole = re.sub(rf"<p>{placeholder('([0-9]+)')}</p>", lambda found: BARS[int(found[1])], "".join(parts))
    notebook = (ROOT / page.file.src_uri).with_suffix(".py")
    if notebook.is_file() and notebook.match(NOTEBOOKS):
        outputs = executed(notebook.read_text(encoding="utf-8")).outputs
        whole = re.sub(r"<p>OUTPUT([0-9]+)OUTPUT</p>", lambda found: outputs[int(found[1])], whole)
    return whole
