"""Every program of every page runs as it stands there, in its order, from an empty folder and an empty namespace.

What is put in place of a reader's own files is below, and so are the few numbers that are made smaller. Names are never
put in: what a program needs, the page has to define.
"""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from logq.cli import main
from logq.cli.app import app
from logq.cli.terminal.help import CommandGroup

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TEXTS = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"))
}
PROGRAMS = {name: re.findall(r"^```python\n(.*?)^```", text, re.S | re.M) for name, text in TEXTS.items()}
# Its programs are scripts of several processes and other libraries, which test_frameworks.py starts one by one.
SCRIPTS = "docs/frameworks.md"
PAGES = sorted(name for name, programs in PROGRAMS.items() if programs and name != SCRIPTS)

# (as it stands, what a test runs instead): sizes that take minutes or gigabytes, and what so small a text cannot tell.
SMALLER = {
    "README.md": [
        ("SASRec()", "SASRec(epochs=2)"),
    ],
    "docs/language-models.md": [
        ('"".join(lines)', '"".join(lines[:60])'),
        ("epochs=5", "epochs=1"),
        ("epochs=3", "epochs=1"),
        ("NGram(order=3, min_count=2)", "NGram(order=3, min_count=2, discount_fallback=(0.5, 1.0, 1.5))"),
        ("k=None, min_count=2)", "k=None, min_count=2, discount_fallback=(0.5, 1.0, 1.5))"),
    ],
    "docs/gpu.md": [
        ('"cuda", 10_000_000, 256', '"cpu", 900, 8'),
        ("LogUniform(C, 8192", "LogUniform(C, 64"),
        ("8192", "32"),
    ],
    "docs/large-tables.md": [("10_000_000, 64", "2_000, 8")],
    "docs/recommendations.md": [("epochs=10", "epochs=1")],
}


def lay_text_and_log() -> None:
    line = "the king and the queen met a man and a woman in the city on a day in the spring\n"
    Path("corpus.txt").write_text(line * 60 + "once in a city a spring came\n", encoding="utf-8")
    items = [1193, 661, 914, *range(20)]
    rows = [f"{user},{items[(user + 3 * step) % len(items)]},{step}" for user in range(60) for step in range(12)]
    Path("log.csv").write_text("\n".join(["userId,movieId,timestamp", *rows]), encoding="utf-8")


def run_commands_of_recommendations() -> None:
    """What the page has on the command line before its programs, with a model that is trained in a second."""
    for needed in ("faiss", "duckdb", "polars"):
        pytest.importorskip(needed)
    for line in (
        "demo items -q",
        "train item2vec logq-demo-items/calls.csv --user function --item calls --min-item 5 --min-user 3 "
        "--epochs 1 --seed 1 -o model -q",
        "index model --to duckdb:items.duckdb -q",
    ):
        assert main(line.split()) == 0


def need_databases() -> None:
    for needed in ("faiss", "duckdb", "qdrant_client"):
        pytest.importorskip(needed)


FILES: dict[str, Callable[[], None]] = {
    "README.md": lay_text_and_log,
    "docs/words.md": lay_text_and_log,
    "docs/recommendations.md": run_commands_of_recommendations,
    "docs/databases.md": need_databases,
}


def test_pages_are_found():
    assert {"README.md", "docs/ranking-evaluation.md", "docs/large-tables.md", "docs/migration.md"} <= set(PAGES)
    assert not {*SMALLER, *FILES} - set(PAGES)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch warns of its own way of making sparse tensors
# Users of the log of calls call some functions again.
@pytest.mark.filterwarnings("ignore:.*events to be found are of items:UserWarning")
@pytest.mark.parametrize("page", PAGES)
def test_programs_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FILES.get(page, lambda: None)()
    names: dict[str, object] = {}
    text = "\n".join(PROGRAMS[page])
    for typed, _ in SMALLER.get(page, ()):
        assert typed in text, f"{page} no longer has {typed!r}"
    for number, program in enumerate(PROGRAMS[page], 1):
        for typed, instead in SMALLER.get(page, ()):
            program = program.replace(typed, instead)
        exec(compile(program, f"program {number} of {page}", "exec"), names)


COMMANDS = [
    (page, line)
    for page, text in TEXTS.items()
    for line in re.findall(r"^ {4}(?:\$ )?logq (.*)$", text.replace("\\\n", " "), re.M)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_are_understood(page, line):
    typed = shlex.split(re.split(r"\s#\s", line)[0].split(" | ")[0])
    command, words = app, typed
    if "<" in words:
        words = words[: words.index("<")]
    while isinstance(command, CommandGroup) and words:
        command = command.get_command(None, words[0])
        assert command is not None, f"{page}: {line}"
        words = words[1:]
    if not isinstance(command, CommandGroup):
        assert command.make_context("logq", words), f"{page}: {line}"


def test_a_log_that_training_read_is_not_evaluated_as_what_came_later():
    for page, line in COMMANDS:
        words = shlex.split(line, comments=True)
        if words[:2] == ["evaluate", "ranking"]:
            assert words[3:4] in ([], ["later.csv"]), f"{page}: {line}"


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_a_program_is_marked_as_python_or_as_somebody_else_s(page):
    """`py` is for code before a move to logq, which needs other libraries; all else is `python`, and runs."""
    kinds = re.findall(r"^```(\S*)\n(.*?)^```", TEXTS[page], re.S | re.M)
    assert {kind for kind, _ in kinds} <= {"python", "py"}
    assert not [text for kind, text in kinds if kind == "py" and "logq" in text]


def test_a_package_index_gets_the_readme_with_absolute_links():
    """As the build makes it: what is beside the README is not there, and is linked to where the release is."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(settings["project"]["dynamic"]) == {"readme", "version"}
    host = settings["project"]["urls"]["Source"]
    rules = settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    shown = TEXTS["README.md"]
    for rule in rules:
        shown = re.sub(rule["pattern"], rule["replacement"], shown)
    links = re.findall(r"\]\(([^)\s]+)\)", TEXTS["README.md"])
    assert len(links) >= 15
    for link, made in zip(links, re.findall(r"\]\(([^)\s]+)\)", shown), strict=True):
        if link.endswith(".svg"):
            assert made == f"https://raw.githubusercontent.com/{urlsplit(host).path[1:]}/v$HFPR_VERSION/{link}"
        else:
            assert made == (link if link.startswith("https:") else f"{host}/blob/v$HFPR_VERSION/{link}")


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if not re.match(r"https?:|#", target):
            assert (ROOT / page).parent.joinpath(target.partition("#")[0]).exists(), f"{page}: {target}"


def test_links_to_other_hosts_are_well_formed():
    """Nothing is asked of the network: only what is wrong with an address in itself is found."""
    links = [(page, link) for page, text in TEXTS.items() for link in re.findall(r"\bhttps?://[^\s)>\"'`|]+", text)]
    assert len(links) >= 5
    for page, link in links:
        parts = urlsplit(link)
        local = parts.hostname in {"127.0.0.1", "localhost"} or re.search(r"\.(example|local)$", parts.hostname or "")
        assert parts.scheme == "https" or local, f"{page}: {link}"
        assert local or re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), f"{page}: {link}"
        assert not re.search(r"[\\{}^\[\]]|//", parts.path), f"{page}: {link}"
