"""How commands are made lazily, show their help, and name in their errors what a user typed."""

from pathlib import Path
from typing import Annotated

import pytest
import typer

from logq import ArgumentError, ArgumentTypeError
from logq.cli.command_options import make_command
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError, StoppedError
from logq.cli.terminal.help import CommandGroup, Lazy
from logq.cli.train_frame import Checkpoints, Training


def raising(error):
    def command(
        source: Annotated[list[str], typer.Argument(metavar="CORPUS...")],
        min_count: int = 1,
        k: Annotated[int, typer.Option("-k", "--topn")] = 10,
    ) -> None:
        """Raise. Much.

        More of it.
        """
        raise error

    return make_command(command, "logq raise corpus.txt")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ArgumentError("min_count", "an integer >= 1", 0), "--min-count: expected an integer >= 1, got 0"),
        (ArgumentTypeError("k", "an integer"), "--topn: expected an integer"),
        (ArgumentError("source", "at least one word"), "CORPUS: expected at least one word"),
        (ArgumentError("unheard_of", "less"), "unheard_of: expected less"),
        (StoppedError(ArgumentError("k", "less"), "nothing was saved."), "--topn: expected less; nothing was saved."),
    ],
)
def test_errors_of_the_library_name_what_was_typed(error, message):
    with pytest.raises(BadInputError) as caught:
        raising(error).main(["text.txt"], standalone_mode=False)
    assert str(caught.value) == message
    assert caught.value.__cause__ is error


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError()).main(["text.txt"], standalone_mode=False)


def test_a_command_is_made_when_it_is_called(capsys):
    made = []

    def make():
        made.append(1)
        return raising(ZeroDivisionError())

    group = CommandGroup("logq", "All.", "logq raise", {"raise": Lazy(lambda: "Raise what there is.", make)})
    group.main([], prog_name="logq", standalone_mode=False)
    assert "raise                       Raise what there is." in capsys.readouterr().out
    assert not made
    with pytest.raises(ZeroDivisionError):
        group.main(["raise", "x"], prog_name="logq", standalone_mode=False)
    assert made == [1]
    assert group.get_command(None, "rise") is None


# ---------------------------------------------------------------------------------------------------- the train frame


def run(folder, error, *, what="model", done=0, save=()):
    training = Training(folder, Checkpoints(), what=what)
    with training.run():
        training.done, training.epochs = done, 3
        for name in save:
            (folder / name).write_bytes(b"x")
        raise error


@pytest.mark.parametrize(
    ("what", "done", "there", "said"),
    [
        ("model", 0, (), "no model was saved."),
        ("vectors", 0, (), "no vectors were saved."),
        ("vectors", 2, (), "the vectors of 2 of 3 epochs are in {}."),
        ("model", 0, ("model.safetensors",), "{} still holds the model of an earlier run."),
        (
            "model",
            0,
            ("checkpoint.safetensors",),
            "no model was saved; the checkpoint in {} is as it was before.",
        ),
    ],
)
def test_what_is_saved_is_said_however_a_training_ends(tmp_path, what, done, there, said):
    for name in there:
        (tmp_path / name).write_bytes(b"before")
    for error in (KeyboardInterrupt(), MemoryError(), FloatingPointError("lr"), OSError(28, "No space left")):
        with pytest.raises((InterruptedWorkError, StoppedError)) as caught:
            run(tmp_path, error, what=what, done=done)
        stopped = caught.value
        line = stopped.saved if isinstance(stopped, StoppedError) else str(stopped)
        assert line == said.format(tmp_path)
    for error in (ValueError("x"), FileNotFoundError(2, "gone"), ArgumentError("k", "less")):
        with pytest.raises(type(error)):
            run(tmp_path, error)


def test_a_new_checkpoint_can_be_resumed(tmp_path: Path):
    with pytest.raises(InterruptedWorkError) as caught:
        run(tmp_path, KeyboardInterrupt(), save=("checkpoint.safetensors",))
    said = f"no model was saved; the same command with --resume continues from the checkpoint in {tmp_path}."
    assert str(caught.value) == said
