import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import logq as package
from logq.cli.app import app, main
from logq.cli.terminal.errors import BadInputError, leave_quietly
from logq.estimators import ESTIMATORS

OPTIONS_OF_0_1 = Path(__file__).with_name("options_of_0_1.txt").read_text().splitlines()


COMMANDS = [
    [],
    ["train"],
    ["train", "word2vec"],
    ["neighbors"],
    ["map"],
    ["prepare"],
    ["vocab"],
    ["phrases"],
    ["tokenize"],
    ["demo"],
    ["demo", "words"],
    ["demo", "items"],
    ["evaluate"],
    ["evaluate", "words"],
    ["evaluate", "ranking"],
    ["evaluate", "lm"],
    ["train", "lm"],
    ["generate"],
    ["recommend"],
    ["score"],
    ["similar"],
    ["index"],
    ["serve"],
    ["explore"],
    ["export"],
    ["push"],
    ["diagnose"],
    ["doctor"],
    *(["train", entry.command] for entry in ESTIMATORS if entry.family == "recommender"),
    ["tune"],
    *(["tune", entry.command] for entry in ESTIMATORS if entry.family == "recommender" and entry.tunable),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples_and_explains_everything(logq, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = logq(*command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {' '.join(['logq', *command])} ")
    assert max(map(len, out.splitlines())) <= 80
    examples = out.split("\nExamples\n")[1].split("\n\n")[0].splitlines()
    assert examples
    for example in examples:
        assert example.startswith(f"  $ {' '.join(['logq', *command])}")
    assert "default: None" not in out
    assert ("(default: skip-gram)" in " ".join(out.split())) == (command == ["train", "word2vec"])
    assert logq(*command, "-h")[1] == out


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"]], ids=" ".join)
def test_a_group_alone_shows_its_help(logq, command):
    assert logq(*command)[:2] == (0, logq(*command, "--help")[1])


def test_all_commands_are_in_the_list_above():
    names = [[name] for name in app.members]
    names += [[name, inner] for name in app.members for inner in getattr(app.members[name], "members", ())]
    assert sorted(names) == sorted(COMMANDS[1:])


@pytest.mark.parametrize("line", OPTIONS_OF_0_1, ids=lambda line: line.partition(":")[0])
def test_options_of_version_0_1_are_still_there(line):
    words, _, options = line.partition(":")
    command = app
    for word in words.split():
        command = command if word == "logq" else command.get_command(None, word)
    assert set(options.split()) <= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def test_every_option_says_what_it_does(logq):
    words = ["Usage", "Examples"]
    for command in COMMANDS:
        _, out, _ = logq(*command, "--help")
        for line in out.split("\nOptions\n")[1].splitlines():
            if line.startswith("  -"):
                assert line[28:].strip(), f"{command}: {line}"
        assert all(word in out for word in words)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        [],
        ["train"],
        ["evaluate", "words", "--help"],
        ["vocab", "missing.txt"],
        ["evaluate", "ranking", "missing"],
        ["evaluate", "lm", "missing", "x"],
        ["generate", "missing"],
        ["recommend", "missing", "--user", "4"],
        ["index", "missing"],
    ],
)
def test_help_and_first_mistakes_need_neither_torch_nor_numpy(words, tmp_path):
    code = (
        "import sys; from logq.cli import main; main(sys.argv[1:]);"
        "slow = {'torch', 'numpy', 'sklearn', 'safetensors'} | ({'pydantic'} if '--help' in sys.argv else set());"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert answer.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["word2vec", "--help"],
        ["word2vec", "missing.txt", "-o", "x"],
        ["lm", "--help"],
        ["lm", "missing.txt", "-o", "x"],
        ["lm", "missing.txt", "-o", "x", "--order", "3", "--model", "gru"],
    ],
)
def test_help_of_trainings_that_do_without_torch_needs_none(words, tmp_path):
    """Options come from the configs of estimators: those of neural recommenders are beside their networks."""
    code = "import sys; from logq.cli import main; main(sys.argv[1:]); print('torch' in sys.modules, file=sys.stderr)"
    answer = subprocess.run(
        [sys.executable, "-c", code, "train", *words], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert answer.stderr.splitlines()[-1] == "False"


@pytest.mark.parametrize("words", [["neighbors", "{}", "king"], ["map", "{}", "-o", "map.html", "--layout", "pca"]])
def test_looking_at_vectors_needs_no_torch(words, vectors, tmp_path):
    code = "import sys; from logq.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules, file=sys.stderr)"
    words = [word.format(vectors) for word in words]
    answer = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert answer.stderr.splitlines()[-1] == "0 False"


def test_python_m_is_the_command():
    answer = subprocess.run([sys.executable, "-m", "logq.cli", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == f"logq {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "sasrek"], "Did you mean 'sasrec', 'ease'? Help: logq train --help"),
        (["neighbors"], "Missing argument"),
        (["neighbors", "x", "y", "--topn", "0"], "--topn"),
        (["neighbors", "x", "y", "--frob"], "No such option: --frob"),
        (["train", "word2vec", "corpus.txt"], "--output"),
        (["train", "word2vec", "corpus.txt", "-o", "x", "--dim", "many"], "--dim"),
        (["train", "word2vec", "corpus.txt", "-o", "x", "--objective", "hinge"], "hinge"),
        (["map", "x", "--layout", "umap"], "umap"),
        (["evaluate", "words"], "Missing argument"),
        (["evaluate", "words", "x", "--method", "3cosdiv"], "3cosdiv"),
        (["evaluate", "words", "x", "--restrict-vocab", "0"], "--restrict-vocab"),
    ],
)
def test_bad_arguments_are_one_line_that_leads_to_help(logq, words, message):
    code, out, err = logq(*words)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert "--help" in err


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback(how, monkeypatch):
    words = ["neighbors", "no-such-folder", "tea"]
    if how == "environment":
        monkeypatch.setenv("LOGQ_DEBUG", "1")
    else:
        words.insert(0, "--debug")
    with pytest.raises(BadInputError, match="there is no such file or folder"):
        main(words)


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch, vectors):
    def broken(*_, **__):
        return {}["nothing"]

    monkeypatch.setattr("logq.vectors.KeyedVectors.load", broken)
    with pytest.raises(KeyError, match="nothing"):
        main(["neighbors", str(vectors), "man"])


def test_ctrl_c_anywhere_is_130(monkeypatch, vectors, logq):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("logq.vectors.KeyedVectors.load", interrupted)
    code, out, err = logq("neighbors", vectors, "man")
    assert (code, out, err) == (130, "", "Interrupted: nothing was saved.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["neighbors {} man king", "--help", "vocab {}/text.txt --min-count 1 --top 9000"])
def test_a_reader_that_leaves_is_not_an_error(vectors, words, unbuffered):
    # Buffered output meets the closed pipe only when it is flushed; typer and rich end with 1 where they meet it.
    (vectors / "text.txt").write_text("".join(f"word{number}\n" for number in range(9000)))
    command = [sys.executable, "-m", "logq.cli", *words.format(vectors).split()]
    surroundings = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_the_version_is_said(logq):
    assert logq("--version") == (0, f"logq {package.__version__}\n", "")


def test_python_m_ends_with_the_code_of_the_command(monkeypatch, capsys):
    for words, code in [(["--version"], 0), (["neighbors", "nowhere", "tea"], 2)]:
        monkeypatch.setattr(sys, "argv", ["logq", *words])
        with pytest.raises(SystemExit) as stop:
            runpy.run_module("logq.cli", run_name="__main__")
        assert stop.value.code == code
    assert capsys.readouterr().out == f"logq {package.__version__}\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_before_and_after_a_command_is_130(monkeypatch, logq, error):
    def interrupted(*_, **__):
        raise error

    monkeypatch.setattr(app, "main", interrupted)
    assert logq("vocab", "text.txt") == (130, "", "Interrupted: nothing was saved.\n")


def test_a_command_whose_reader_left_ends_quietly(monkeypatch, vectors, logq):
    def nobody_reads(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("logq.vectors.KeyedVectors.load", nobody_reads)
    assert logq("neighbors", vectors, "man") == (141, "", "")


def test_what_is_written_after_the_reader_left_goes_nowhere(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        file.write("not flushed yet")
        leave_quietly()
    assert (tmp_path / "out").read_text() == ""
