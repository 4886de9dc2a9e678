"""Take pictures of the map and of the explorer, light, dark and as on a phone.

    .venv/bin/python scripts/explorer_screenshots.py build/screenshots

It trains what `logq demo` and `logq demo items` train, writes their pages, and lets Chromium without a window (Debian:
chromium, chromium-driver) click in them by selenium, which comes with the extra `test`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from logq.cli import main as logq
from logq.explorer import write_explorer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import show, start_browser

SCREENS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 390, "height": 844, "phone": True, "ratio": 2},
}
WORDS, ITEMS = ("file", "-socket", "path"), ("open", "os.path.join", ".read")


def pages(folder: Path) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Train, write the pages, and return each with what is typed into it."""
    logq(["demo", "words", "-o", str(folder / "words"), "--overwrite", "-q"])
    logq(["demo", "items", "-o", str(folder / "items"), "--overwrite", "-q"])
    calls = [str(folder / "items" / "calls.csv"), "--user", "function", "--item", "calls", "--min-item", "5"]
    logq(["train", "item-knn", *calls, "-o", str(folder / "item-knn"), "--overwrite", "-q"])
    write_explorer(folder / "words", folder / "explore-words.html", top=1000)
    write_explorer(folder / "items", folder / "explore-items.html", top=1000)
    write_explorer(folder / "items", folder / "explore-two.html", folder / "item-knn", top=1000)
    return {
        "map": (folder / "words" / "map.html", ()),
        "words": (folder / "explore-words.html", WORDS),
        "items": (folder / "explore-items.html", ITEMS),
        "two": (folder / "explore-two.html", ITEMS),
    }


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Where the pictures, the models and the pages go.")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = start_browser(profile)
        try:
            for name, (page, typed) in pages(folder).items():
                for screen, settings in SCREENS.items():
                    show(browser, **settings)
                    browser.get("about:blank")
                    browser.get(f"file://{page}")
                    if typed and screen == "phone":
                        browser.find_element("id", "tab-asking").click()
                    for word in typed:
                        browser.find_element("id", "added").send_keys(f"{word}\n")
                    time.sleep(2)  # until nothing moves
                    browser.save_screenshot(str(folder / f"{name}-{screen}.png"))
                    print(folder / f"{name}-{screen}.png")
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
