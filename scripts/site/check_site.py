"""Look at the built site as a browser would, and say what is wrong with it.

    python scripts/site/check_site.py build/site

Every link leads to a page, file or anchor that is there, no page loads anything from another host, and every public
name has an entry in the reference.
"""

import argparse
import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.append(str(Path(__file__).parent))

LOADING = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("object", "data"),
}
HARMLESS = {"canonical", "next", "prev", "alternate", "edit"}  # kinds of <link> that load nothing


class PageReader(HTMLParser):
    """The anchors of a page, where its links lead, what it loads, and its address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.address = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if given.get("rel") == "canonical":
            self.address = given.get("href", "")
        for name, value in given.items():
            if (tag, name) in LOADING and not HARMLESS & set(given.get("rel", "").split()):
                self.loaded.append(value)


@cache
def read(path: Path) -> PageReader:
    """A page, once."""
    return PageReader(path.read_text(encoding="utf-8"))


def problems(site: Path) -> list[str]:
    """What is wrong with a built site."""
    return [*dead_links(site), *other_hosts(site), *missing_entries(site)]


def dead_links(site: Path) -> list[str]:
    """Links, and files that pages load, which lead nowhere in the site."""
    found: list[str] = []
    top = urlsplit(read(site / "index.html").address).path or "/"  # where the site will stand on its host
    for page in sorted(site.rglob("*.html")):
        known = read(page)
        for link in dict.fromkeys(known.links + known.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = site if parts.path.startswith(top) else page.parent
            target = (base / unquote(parts.path).removeprefix(top)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (target.suffix == ".html" and anchor and anchor not in read(target).anchors):
                found.append(f"{page.relative_to(site)}: {link} leads nowhere")
    return found


def other_hosts(site: Path) -> list[str]:
    """What is loaded from elsewhere as soon as a page is opened."""
    found = [
        f"{page.relative_to(site)}: loads {address}"
        for page in sorted(site.rglob("*.html"))
        for address in read(page).loaded
        if urlsplit(address).netloc
    ]
    for sheet in sorted(site.rglob("*.css")):
        text = sheet.read_text(encoding="utf-8")
        found += [
            f"{sheet.relative_to(site)}: loads {url}"
            for url in re.findall(r"url\([\"']?((?:https?:)?//[^)\"']+)", text)
        ]
    return found


def missing_entries(site: Path) -> list[str]:
    """Public names that no page of the reference describes."""
    from reference_pages import public_names

    anchors = {anchor for page in (site / "reference").rglob("*.html") for anchor in read(page).anchors}
    return [f"reference: {home} has no entry" for home in sorted(set(public_names().values()) - anchors)]


def main() -> None:
    """Print problems, and fail if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site.resolve()
    if found := problems(site):
        sys.exit("\n".join(found))
    pages = len(list(site.rglob("*.html")))
    print(f"    {pages} pages, no dead link")


if __name__ == "__main__":
    main()
