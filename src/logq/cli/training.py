"""Train, save, and say in the words of the command line what came of it."""

import contextlib
import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._progress import format_quantity, format_seconds
from logq.cli.errors import BadInputError, InterruptedWorkError, describe, say_error
from logq.cli.report import say

if TYPE_CHECKING:
    from logq.word2vec import Word2Vec

__all__ = ["Keeping", "fit_and_save"]


@dataclass(frozen=True)
class Keeping:
    """What a run keeps beside its vectors.

    Args:
        cache: folder for the encoded text.
        keep_cache: whether it stays there for the next run.
        checkpoint_minutes: how often a checkpoint is saved.
        resume: whether to go on from the one that is there.
    """

    cache: Path
    keep_cache: bool = True
    checkpoint_minutes: float = 10.0
    resume: bool = False


def fit_and_save(
    source: Any, folder: Path, options: dict[str, Any], keeping: Keeping | None = None, *, quiet: bool = False
) -> "Word2Vec":
    """Train word2vec, save its vectors after each epoch, and say where they are.

    Args:
        source: paths, or sentences as lists of words.
        folder: where the vectors go; it exists.
        options: arguments of logq.Word2Vec.
        keeping: what else is kept; None keeps nothing.
        quiet: no progress line.

    Returns:
        The model.

    Raises:
        BadInputError: what the library refuses, told in the options' spelling.
        InterruptedWorkError: Ctrl-C; the message says what is saved.
    """
    saved = _Saved(folder)
    try:
        from logq.word2vec import Word2Vec

        model = Word2Vec(**options)
        saved.epochs = model.epochs
        if model.engine == "auto" and model.why_not_fused:
            _note(
                f"{model.why_not_fused} has no compiled kernel: training in plain PyTorch, some tens of times slower."
            )
        beside: dict[str, Any] = {}
        if keeping is not None:
            beside = {
                "cache": keeping.cache,
                "checkpoint": folder,
                "checkpoint_minutes": keeping.checkpoint_minutes,
                "resume": keeping.resume,
            }
            saved.look_for_checkpoint(resume=keeping.resume)
        model.fit(source, progress=False if quiet else None, on_epoch_end=saved.save, **beside)
    except KeyboardInterrupt as stop:
        raise InterruptedWorkError(saved.say()) from stop
    except (FloatingPointError, MemoryError) as error:
        raise BadInputError(f"{_in_options(describe(error) or '', set(options))}; {saved.say()}") from error
    except ValueError as error:
        raise BadInputError(_in_options(str(error), set(options))) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise BadInputError(f"{describe(error)}; {saved.say()}") from error
        raise BadInputError(_in_options(describe(error) or "", set(options))) from error
    finally:
        if keeping is not None:
            with contextlib.suppress(OSError):  # an empty one is of no use
                keeping.cache.rmdir()
    _say_what_came_of_it(model, folder)
    if keeping is not None:
        _settle_cache(keeping)
    return model


class _Saved:
    """What a run has saved so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = self.epochs = 0
        self._checkpoint = folder / "checkpoint.safetensors"
        self._before = _state(self._checkpoint)

    def look_for_checkpoint(self, *, resume: bool) -> None:
        if resume and self._before is None:
            _note(f"there is no checkpoint in {self.folder}: training starts anew.")
        if not resume and self._before is not None:
            _note(f"{self.folder} has a checkpoint of an earlier run, which is replaced; --resume would go on from it.")

    def save(self, model: "Word2Vec", epoch: int) -> None:
        model.save_vectors(self.folder)
        self.done = epoch

    def say(self) -> str:
        parts = [self._of_vectors()]
        now = _state(self._checkpoint)
        if now is not None and now != self._before:
            parts.append("the same command with --resume goes on from the checkpoint there")
        elif now is not None:
            parts.append(f"the checkpoint in {self.folder} is as it was before")
        return "; ".join(parts) + "."

    def _of_vectors(self) -> str:
        if self.done:
            return f"the vectors of {self.done} of {self.epochs} epochs are in {self.folder}"
        if (self.folder / "vectors.safetensors").exists():
            return f"no epoch had ended; {self.folder} still holds the vectors of an earlier run"
        return "no epoch had ended, so no vectors were saved"


def _state(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that took its place; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _say_what_came_of_it(model: "Word2Vec", folder: Path) -> None:
    if model.invalid_lines:
        say(f"{model.invalid_lines:,} lines had bytes that are not UTF-8; they were read as \N{REPLACEMENT CHARACTER}.")
    if model.long_words:
        say(f"{model.long_words:,} words of more than 65,536 bytes were left out.")
    took = format_seconds(model.encoding_seconds + model.training_seconds)
    say(f"{len(model.vocabulary):,} words, {model.dim} numbers each, after {took} are in ", (str(folder), "bold"))
    speed = format_quantity(model.words_trained / max(model.training_seconds, 1e-9))
    say(
        f"Reading took {model.encoding_seconds:.1f} s, training {model.training_seconds:.1f} s: {speed} words/s, "
        f"mean loss {model.mean_loss:.3f}."
    )


def _settle_cache(keeping: Keeping) -> None:
    if not keeping.keep_cache:
        from logq.text.encoding_cache import remove_encodings

        remove_encodings(keeping.cache)
        return
    size = sum(path.stat().st_size for path in keeping.cache.glob("*.ids"))
    if size:
        say(
            f"The text as numbers, {format_quantity(size)}B for the next run over it, stays in ",
            (str(keeping.cache), "bold"),
        )


def _note(text: str) -> None:
    say_error(text, "Note")


def _in_options(message: str, names: set[str]) -> str:
    # The library calls an argument min_count; whoever reads this typed --min-count.
    spelled = {"sg": "--skip-gram", "cbow_mean": "--cbow-mean", "source": "CORPUS", "corpus": "CORPUS"}
    spelled |= {"shared_negatives": "--shared-negatives", "checkpoint_minutes": "--checkpoint-minutes"}
    spelled = {name: "--" + name.replace("_", "-") for name in names} | spelled
    return re.sub(
        rf"^({'|'.join(spelled)})(?=:)|\b({'|'.join(name for name in names if '_' in name)})(?= ?=)",
        lambda match: spelled[match[0]],
        message.removesuffix("; a list of strings is a list of files, sentences are lists of words"),
    )
