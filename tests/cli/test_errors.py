import pickle

import pytest

from logq import ArgumentError
from logq.cli.terminal.errors import BadInputError, StoppedError, describe, note, say_error
from logq.training.running_mean import DivergedError
from logq.vectors.nearest_words import UnknownWord


def a_missing_file():
    try:
        open("no such file")  # noqa: SIM115
    except OSError as error:
        return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadInputError("tea.txt: too cold"), "tea.txt: too cold"),
        (ValueError("min_count: expected\n  more"), "min_count: expected more"),
        (ValueError(), "ValueError"),
        (a_missing_file(), "no such file: No such file or directory"),
        (OSError("map.html: no room"), "map.html: no room"),
        (ImportError("pip install 'logq[map]'"), "pip install 'logq[map]'"),
        (FloatingPointError("lr: try less"), "lr: try less"),
        (MemoryError(), "there is not enough memory"),
        (ArgumentError("lr", "a number > 0", 0), "lr: expected a number > 0, got 0"),
        (StoppedError(ArgumentError("lr", "less"), "nothing was saved."), "lr: expected less; nothing was saved."),
        (UnknownWord("tee", ["tea"]), "'tee' is not among the 1 known words; the closest are tea"),
    ],
)
def test_what_the_user_can_put_right_is_one_line(error, line):
    assert describe(error) == line


@pytest.mark.parametrize("error", [KeyError("x"), IndexError(), TypeError("f() takes no arguments"), AssertionError()])
def test_mistakes_of_ours_are_not_dressed_up(error):
    assert describe(error) is None


def test_a_line_is_written_as_it_is(capsys):
    say_error("[bold]/path/[0] :smile: " + 30 * "long,")
    assert capsys.readouterr() == ("", "Error: [bold]/path/[0] :smile: " + 30 * "long," + "\n")


def test_arguments_are_spelled_as_they_are_typed():
    error = ArgumentError("min_count", "an integer >= 1", 0, "or leave it out")
    spelled = {"min_count": "--min-count"}.__getitem__
    assert describe(error, spelled) == "--min-count: expected an integer >= 1, got 0; or leave it out"
    assert describe(StoppedError(error, "all is lost."), spelled) == (
        "--min-count: expected an integer >= 1, got 0; or leave it out; all is lost."
    )
    assert describe(StoppedError(ZeroDivisionError(), "all is lost."), spelled) is None


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-k", "0"], "--topn: expected a number >= 1, got 0."),
        (["-k", "x"], "--topn: expected an integer, got 'x'."),
        (["--diversity", "2"], "--diversity: expected a number <= 1, got 2."),
    ],
)
def test_values_that_the_parser_refuses_are_shown(logq, tmp_path, words, line):
    code, _, err = logq("recommend", tmp_path, "--user", "u1", *words)
    assert (code, err) == (2, f"Error: {line} Help: logq recommend --help\n")


def test_notes_have_options_alone(capsys):
    note("exclude_seen=False (--keep-seen) ranks them too; missing=[...] (--missing WORD); refit=False (no --refit)")
    assert capsys.readouterr().err == "Note: --keep-seen ranks them too; --missing WORD; no --refit\n"


def test_a_training_that_diverges_names_the_learning_rate():
    error = pickle.loads(pickle.dumps(DivergedError("lr", "training diverged; try less than 10")))
    assert isinstance(error, FloatingPointError)
    assert str(error) == "lr: training diverged; try less than 10"
    assert describe(error, "--{}".format) == "--lr: training diverged; try less than 10"
