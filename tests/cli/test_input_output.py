"""Nothing that a command reads is destroyed by what it writes, by whatever path the two are named."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logq.cli import main
from logq.cli.terminal.console import printable
from logq.recommenders import Recommender
from logq.vectors import KeyedVectors

POSIX = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")
TEXT = "new york is big\nnew york is old\na b c d\n" * 9


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.txt").write_text(TEXT)
    (tmp_path / "pairs.tsv").write_text("tea\tcup\t3\ntea\tpot\t2\ncup\tpot\t1\n")
    (tmp_path / "v.txt").write_text("3 2\ntea 1 0\ncup 0.5 0.5\npot 0 1\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ["vocab", "c.txt", "-o", "c.txt"],
        ["vocab", "c.txt", "-o", "./sub/../c.txt"],
        ["phrases", "c.txt", "-o", "c.txt"],
        ["phrases", "pairs.tsv", "c.txt", "--save", "c.txt"],
        ["map", "v.txt", "-o", "v.txt"],
        ["evaluate", "words", "v.txt", "-s", "pairs.tsv", "--json", "pairs.tsv"],
        ["evaluate", "words", "v.txt", "-s", "pairs.tsv", "--json", "v.txt"],
        ["train", "lm", "c.txt", "-o", "lm", "--arpa", "c.txt"],
        ["train", "lm", "c.txt", "--valid", "pairs.tsv", "-o", "lm", "--arpa", "pairs.tsv"],
        ["evaluate", "lm", "v.txt", "c.txt", "--json", "c.txt"],
        ["diagnose", "v.txt", "c.txt", "--json", "c.txt"],
        ["diagnose", "v.txt", "--figure", "v.txt"],
    ],
)
def test_a_command_does_not_write_over_what_it_reads(logq, place: Path, words: list[str]) -> None:
    (place / "sub").mkdir()
    before = contents(place)
    code, out, err = logq(*words)
    assert (code, out) == (2, "")
    assert "expected another file than" in err
    assert contents(place) == before


@POSIX
@pytest.mark.parametrize("kind", ["hard", "symbolic", "folder"])
def test_links_lead_to_the_same_file(logq, place: Path, kind: str) -> None:
    (place / "there").mkdir()
    name = "other.txt"
    if kind == "hard":
        os.link("c.txt", name)
    elif kind == "symbolic":
        os.symlink("c.txt", name)
    else:
        os.symlink(place, "there/again")
        name = "there/again/c.txt"
    code, _, err = logq("vocab", "c.txt", "-o", name)
    assert (code, (place / "c.txt").read_text()) == (2, TEXT)
    assert f"--output: expected another file than CORPUS, which it would replace, got {name}" in err


def test_two_results_do_not_go_to_one_file(logq, place: Path) -> None:
    code, _, err = logq("phrases", "c.txt", "-o", "new.txt", "--save", "./new.txt")
    assert (code, err) == (2, "Error: --save: expected another file than --output, got new.txt twice\n")


def test_a_result_is_left_out_of_the_pattern_that_matches_it(logq, place: Path) -> None:
    (place / "pairs.tsv").unlink()
    (place / "v.txt").unlink()
    found = []
    for again in range(3):
        code, _, err = logq("phrases", "*.txt", "-o", "joined.txt", "--threshold", 0.1)
        assert code == 0
        assert ("'*.txt' matches joined.txt too, which is a result and is left out" in err) == (again > 0)
        found.append((place / "joined.txt").read_bytes())
    assert found[0] == found[1] == found[2]
    assert "new_york" in found[0].decode()


def test_a_pattern_that_matches_only_the_result_is_refused(logq, place: Path) -> None:
    code, _, err = logq("vocab", "c.t*", "-o", "c.txt")
    assert (code, (place / "c.txt").read_text()) == (2, TEXT)
    assert "matches nothing but the result, c.txt" in err


def run(place: Path, shell: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LOGQ": f"{sys.executable} -m logq.cli"}
    return subprocess.run(
        ["bash", "-c", shell], cwd=place, env=env, check=False, capture_output=True, text=True, timeout=300
    )


@POSIX
def test_results_go_through_pipes_and_into_the_file_behind_standard_output(place: Path) -> None:
    before = "echo before > out; "
    for name in ("-", "/dev/stdout"):
        run(place, f"{before} $LOGQ evaluate words v.txt -s pairs.tsv --json {name} >> out")
        first, _, rest = (place / "out").read_text().partition("\n")
        assert first == "before"
        assert json.loads(rest)["similarity"][0]["pairs"] == 3
    assert not (place / "-").exists()
    done = run(place, "$LOGQ vocab - --min-count 9 -o - < c.txt | cat")
    assert done.stdout.splitlines()[0] == "new 18"
    done = run(place, "$LOGQ vocab - -o c.txt < c.txt")
    assert done.returncode == 2
    assert (place / "c.txt").read_text() == TEXT


@POSIX
def test_a_log_is_read_from_a_pipe(place: Path, ratings: Path, model: Path) -> None:
    shutil.copy(ratings, place / "r.csv")
    options = "--dim 4 --epochs 1 --seed 1 --threads 1 -q"
    assert run(place, f"$LOGQ train item2vec r.csv -o a {options}").returncode == 0
    plain = Recommender.load(place / "a")
    for train in (
        f"cat r.csv | $LOGQ train item2vec - -o b {options}",
        f"$LOGQ train item2vec /dev/stdin -o b {options} < r.csv",
        f"$LOGQ train item2vec <(cat r.csv) -o b {options}",
    ):
        done = run(place, train)
        assert done.returncode == 0, done.stderr
        assert np.array_equal(Recommender.load(place / "b").item_vectors, plain.item_vectors)
        shutil.rmtree(place / "b")
    done = run(place, f"echo 1,2 | $LOGQ train item2vec - -o b {options}")
    assert done.returncode == 2
    assert "Error: --validation last: expected users with at least 3 events, got at most 1" in done.stderr
    assert "/dev/stdin: expected" in run(place, f"printf '1,2\\n3,4,5' | $LOGQ train item2vec - -o b {options}").stderr
    done = run(place, f"$LOGQ train item2vec r.csv -o b {options} --item-features <(cat r.csv)")
    assert "expected a table of features in an ordinary file, which is read again, found a pipe" in done.stderr


@POSIX
def test_a_reader_that_goes_away_ends_a_command_as_sigpipe_would(place: Path) -> None:
    (place / "many.txt").write_text(" ".join(f"word{n}" for n in range(20_000)))
    done = run(place, "$LOGQ vocab many.txt --min-count 1 --top 20000 | head -1; echo ${PIPESTATUS[0]}")
    assert done.stdout.splitlines()[-1] in ("0", "141")
    assert done.stderr == ""


@pytest.mark.filterwarnings("always")
def test_quiet_leaves_out_notes(logq, place: Path) -> None:
    (place / "odd.txt").write_bytes(b"a \xff\n" * 9)
    assert "Note" in logq("vocab", "odd.txt")[2]
    code, out, err = logq("vocab", "odd.txt", "-q")
    assert (code, err) == (0, "")
    assert out


def test_resume_of_a_finished_training_changes_nothing(logq, place: Path) -> None:
    train = ["train", "word2vec", "c.txt", "-o", "v", "--dim", 4, "--epochs", 1, "--sample", 0, "-q"]
    assert logq(*train)[0] == 0
    before = contents(place)
    code, _, err = logq(*train, "--resume")
    assert (code, contents(place)) == (2, before)
    assert "nothing was changed" in err
    assert "--overwrite" in err
    assert logq(*train, "--resume", "--overwrite")[0] == 0


def test_a_folder_holds_one_model(logq, place: Path, ratings: Path) -> None:
    assert logq("train", "word2vec", "c.txt", "-o", "m", "--dim", 4, "--epochs", 1, "--sample", 0, "-q")[0] == 0
    before = contents(place)
    items = ["train", "item2vec", ratings, "-o", "m", "--dim", 4, "--epochs", 1, "-q"]
    code, _, err = logq(*items)
    assert (code, contents(place)) == (2, before)
    assert "m holds word vectors, and a folder holds one model" in err
    assert logq(*items, "--overwrite")[0] == 0
    assert not (place / "m" / "vectors.safetensors").exists()
    assert (place / "m" / "model.safetensors").exists()
    code, _, err = logq("train", "lm", "c.txt", "-o", "m", "-q", "--smoothing", "add_k")
    assert (code, "m holds a recommender" in err) == (2, True)
    assert logq("train", "lm", "c.txt", "-o", "m", "-q", "--smoothing", "add_k", "--overwrite")[0] == 0
    assert not (place / "m" / "log").exists()
    code, _, err = logq("neighbors", "m", "new")
    assert "m: expected word vectors in this folder, found NGram, a language model; try `logq generate m`" in err


@pytest.fixture
def items(place: Path, model: Path) -> Path:
    """A copy of a model, with an index of it in another folder."""
    shutil.copytree(model, place / "model")
    assert main(["index", "model", "-o", "index", "-q"]) == 0
    return place


@pytest.mark.parametrize(
    "words",
    [
        ["recommend", "model", "--user", "u1", "--json", "model/log/items.npy"],
        ["evaluate", "ranking", "model", "--json", "model/log/users.npy"],
        ["similar", "model", "i1", "--json", "model/log/split.json"],
        ["index", "model", "-o", "index", "--check", "--json", "index/index.safetensors"],
        ["index", "model", "-o", "index", "--check", "--json", "index/made_of.json"],
        ["recommend", "model", "--user", "u1", "--index", "index", "--json", "index/made_of.json"],
    ],
)
def test_numbers_do_not_replace_what_a_folder_consists_of(logq, items: Path, words: list[str]) -> None:
    before = contents(items)
    code, out, err = logq(*words)
    assert (code, out, contents(items)) == (2, "", before)
    assert "--json: expected another file than those of" in err


def test_an_index_and_a_model_keep_out_of_each_others_folders(logq, items: Path, ratings: Path) -> None:
    before = contents(items)
    code, _, err = logq("index", "model", "-o", "model/log")
    assert (code, contents(items)) == (2, before)
    assert "--output: model/log holds the log of a model, and an index has a folder of its own; take another one" in err
    train = ["train", "item2vec", ratings, "-o", "index", "--dim", 4, "--epochs", 1, "-q"]
    code, _, err = logq(*train)
    assert (code, contents(items)) == (2, before)
    assert "index holds an index of items, and a folder holds one model" in err
    assert logq(*train, "--overwrite")[0] == 0
    assert not (items / "index" / "index.safetensors").exists()


@pytest.mark.parametrize("name", ["c.txt", "pairs.tsv", "model/titles.json", "-", os.devnull])
def test_items_go_into_files_of_duckdb_only(logq, items: Path, name: str) -> None:
    pytest.importorskip("duckdb")
    before = contents(items)
    code, out, err = logq("index", "model", "--duckdb", name)
    assert (code, out, contents(items)) == (2, "", before)
    assert "Error: --duckdb: expected" in err


@POSIX
def test_a_full_device_is_named(logq, items: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    code, _, err = logq("similar", "model", "i1", "--json", "/dev/full")
    assert (code, err) == (2, "Error: /dev/full: No space left on device\n")


def test_a_folder_instead_of_a_file_is_named_without_a_hint_that_does_not_fit(logq, items: Path) -> None:
    assert logq("similar", "model", "i1", "--json", "index")[2].endswith("expected a file to write, found a folder\n")
    assert f"try {Path('index', 'map.html')}" in logq("map", "v.txt", "-o", "index")[2]


def test_what_wants_word_vectors_points_to_the_command_for_items(logq, place: Path, model: Path) -> None:
    for words, fits in (
        (["neighbors", model, "i1"], "similar"),
        (["evaluate", "words", model, "-s", "pairs.tsv"], "evaluate ranking"),
    ):
        code, _, err = logq(*words)
        assert (code, f"found SASRec, a recommender; try `logq {fits} {model}" in err) == (2, True)


HOSTILE = "\x1b[31mred\x1b]0;title\x07", "left\u202eright", "c1\x9b2J", "two\u2028lines"


def test_names_from_files_do_not_control_the_terminal(logq, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logq.vectors import KeyedVectors

    KeyedVectors(["tea", *HOSTILE], [[1.0, 0.1 * n] for n in range(5)], counts=[5, 4, 3, 2, 1]).save("hostile")
    piped = logq("neighbors", "hostile", "tea")[1]
    assert all(name in piped for name in HOSTILE)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")  # no colors of our own
    for words in (["tea"], ["tea", HOSTILE[1]], [HOSTILE[0]]):
        shown = logq("neighbors", "hostile", *words)[1]
        assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028")
        assert r"\x1b[31mred\x1b]0;title" in shown
        assert r"left\u202eright" in shown
    assert r"\x1b[2J" in logq("neighbors", "hostile", "\x1b[2J")[2]


def test_completion_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    assert main(["--show-completion"]) == 0
    assert "_LOGQ_COMPLETE=complete_bash" in capsys.readouterr().out


@POSIX
@pytest.mark.skipif(shutil.which("bash") is None, reason="completion of bash")
def test_commands_are_completed(place: Path) -> None:
    done = run(place, 'COMP_WORDS="logq evaluate r" COMP_CWORD=2 _LOGQ_COMPLETE=complete_bash $LOGQ')
    assert "ranking" in done.stdout


def commands(group, path: tuple[str, ...] = ()):
    for name, member in group.members.items():
        made = member.make() if hasattr(member, "make") else member
        if hasattr(made, "members"):
            yield from commands(made, (*path, name))
        else:
            yield (*path, name), made


def test_every_parameter_that_names_a_file_says_whether_it_is_read_or_written() -> None:
    from logq.cli.app import app

    files = ("FILE", "DIR", "CORPUS", "LOG", "MODEL", "VECTORS", "INDEX")
    without = [
        (*path, parameter.name)
        for path, command in commands(app)
        for parameter in command.params
        if any(word in str(parameter.metavar or "") for word in files) and parameter.name not in command.roles
    ]
    assert without == [("train", "word2vec", "cache_dir")]  # which is read and written, and holds nothing else


@pytest.mark.parametrize("demo", ["words", "items"])
def test_a_demo_does_not_replace_a_model(logq, place: Path, model: Path, demo: str, monkeypatch) -> None:
    monkeypatch.setattr("logq.text.python_reference", lambda: pytest.fail("it was read"), raising=False)
    monkeypatch.setattr("logq.logs.call_graph.call_graph", lambda: pytest.fail("it was read"))
    KeyedVectors(["tea"], [[1.0]]).save(place / "v")
    for folder in (place / "v", model):
        before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        code, _, err = logq("demo", demo, "-o", folder)
        assert code == 2
        assert f"--output: {folder} holds" in err
        assert "--overwrite" in err
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_minus_is_standard_input_wherever_a_file_is_read(logq, place: Path, monkeypatch) -> None:
    def given(path: Path, *words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        code, out, err = logq(*words, "-q") if words[0] == "evaluate" else logq(*words)
        assert (code, err) == (0, "")
        return code, out

    kv = KeyedVectors(["tea", "cup", "ale", "mug"], np.eye(4) + 0.1)
    kv.save_word2vec_format(place / "v.txt")
    kv.save_word2vec_format(place / "v.bin", binary=True)
    (place / "v.gz").write_bytes(gzip.compress((place / "v.txt").read_bytes()))
    expected = logq("neighbors", place / "v.txt", "tea")[1]
    for name in ("v.txt", "v.bin", "v.gz"):
        assert given(place / name, "neighbors", "-", "tea") == (0, expected)
    (place / "pairs.txt").write_text("tea cup 1\nale mug 2\ntea ale 3\n")
    assert "similarity\t-\tspearman" in given(place / "pairs.txt", "evaluate", "words", place / "v.txt", "-s", "-")[1]
    (place / "text.txt").write_text("a b c\nb c a\n" * 9)
    options = ("-o", place / "lm", "--smoothing", "add_k", "--arpa", place / "lm.arpa", "-q")
    assert logq("train", "lm", place / "text.txt", *options)[0] == 0
    assert given(place / "lm.arpa", "generate", "-", "--seed", 1)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("vocab", "-", "-"),
        ("train", "lm", "-", "--valid", "-", "-o", "model"),
        ("evaluate", "words", "-", "-s", "-"),
    ],
)
def test_standard_input_is_not_read_twice(logq, place: Path, words: tuple[str, ...], monkeypatch) -> None:
    monkeypatch.chdir(place)
    code, _, err = logq(*words)
    assert code == 2
    assert "expected - once, as standard input can be read once, got it twice" in err


def test_a_folder_is_not_a_stream(logq, place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)
    code, _, err = logq("train", "word2vec", place / "c.txt", "-o", "-")
    assert (code, err) == (2, "Error: -: expected a folder to write to, not standard output or a pipe\n")
    assert not (place / "-").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("words", [("vocab", "--json"), ("vocab", "-o"), ("phrases", "-o")])
def test_a_device_without_room_is_named(logq, place: Path, words: tuple[str, ...]) -> None:
    code, _, err = logq(words[0], place / "c.txt", words[1], "/dev/full")
    assert (code, err) == (2, "Error: /dev/full: No space left on device\n")


@pytest.mark.parametrize(
    "code", [0x1B, 0x07, 0x7F, 0x9B, 0xAD, 0x200B, 0x200E, 0x2028, 0x202E, 0x2069, 0xFEFF, 0xE0041]
)
def test_what_is_not_seen_is_shown_escaped(code: int) -> None:
    shown = printable(f"a{chr(code)}b")
    assert shown.isascii()
    assert shown.encode().decode("unicode_escape") == f"a{chr(code)}b"
    for name in ("\u0645\u06cc\u200c\u062e", "👩\u200d💻", "naïve", "中文", "é"):  # joined or parted on purpose
        assert printable(name) == name


def test_a_result_on_standard_output_is_alone_there(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "c.txt", "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["tokens"] == len(TEXT.split())


def test_devices_take_several_results(logq, place: Path) -> None:
    assert logq("vocab", "c.txt", "--json", os.devnull, "-o", os.devnull)[0] == 0


def test_a_pattern_for_one_file_does_not_leave_the_result_out(logq, place: Path) -> None:
    before = contents(place)
    code, _, err = logq("diagnose", "?.txt", "--json", "c.txt")
    assert code == 2
    assert err.endswith("Error: MODEL: expected other files than the result, got '?.txt'\n")
    assert contents(place) == before


def test_a_folder_is_not_written_while_a_file_of_it_is_read(logq, place: Path) -> None:
    (place / "model").mkdir()
    (place / "model" / "vectors.json").write_text(TEXT)
    before = contents(place)
    code, _, err = logq("train", "word2vec", "model/vectors.json", "-o", "model")
    assert (code, contents(place)) == (2, before)
    assert err.startswith(
        "Error: --output: expected another folder than that of model/vectors.json, which it may replace"
    )


def test_results_do_not_go_to_the_hub(logq, place: Path) -> None:
    """A folder named hf: would have been made here."""
    code, _, err = logq("train", "word2vec", "c.txt", "-o", "hf://me/words")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("Error: --output: expected a place on this machine, got hf:")
    assert "`logq push` sends a model to the hub" in err
    assert not (place / "hf:").exists()
