"""What all training commands share: options, the checkpoint, and the message at the end, whatever ended it."""

import contextlib
import errno
import shutil
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from logq.cli.input_output import WRITES_FOLDER
from logq.cli.terminal.errors import BadInputError, InterruptedWorkError, StoppedError, note

__all__ = ["Checkpoints", "OutputFolder", "Overwrite", "Training"]

# What each kind of model consists of in a folder, the file that tells of it last.
_FILES = {
    "word vectors": ("vectors.json", "vectors.safetensors"),
    "recommender": ("log", "titles.json", "model.json", "training.json", "model.safetensors"),
    "language model": ("model.json", "model.safetensors"),
    "index": ("made_of.json", "items.safetensors", "index.safetensors"),
}
_CALLED = {"word vectors": "word vectors", "index": "an index of items"}
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

OutputFolder: TypeAlias = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write the result to."), WRITES_FOLDER
]


Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace the model in DIR, if it is not the default.")
]


@dataclass(frozen=True)
class Checkpoints:
    """Options of the checkpoints of a run."""

    checkpoint_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Minutes between checkpoints; Ctrl-C saves one too.",
            show_default="10",
            rich_help_panel="Checkpoints",
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from the checkpoint in DIR, with the same options.",
            rich_help_panel="Checkpoints",
        ),
    ] = False
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace what is in DIR: a finished training, with --resume, or a model of another kind.",
            rich_help_panel="Checkpoints",
        ),
    ] = False


class Training:
    """A training run that writes to a folder, and knows what is there whenever it stops.

    Args:
        folder: where everything goes.
        checkpoints: what was typed; None for what is trained without.
        quiet: no progress, nothing on standard output.
        what: is saved there, "model" or "vectors".
        kind: of model: "word vectors", "recommender" or "language model"; by default one of the first two.
        overwrite: replace what is in the folder, whatever it is.
        keep: leave every model in the folder alone, one of this kind included.

    Raises:
        BadInputError: the folder holds a model of another kind, or a finished one that cannot be resumed.

    Attributes:
        done: epochs after which all was saved; for what saves after each.
        epochs: how many there are to be.
        seconds: that `run` took.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Training(Path(folder)).saved()
        'no model was saved.'
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Checkpoints | None = None,
        *,
        quiet: bool = False,
        what: str = "model",
        kind: str | None = None,
        overwrite: bool = False,
        keep: bool = False,
    ) -> None:
        self.folder, self.checkpoints, self.quiet, self.what = folder, checkpoints, quiet, what
        self.kind = kind or ("word vectors" if what == "vectors" else "recommender")
        self.overwrite = overwrite or (checkpoints is not None and checkpoints.overwrite)
        self.done = self.epochs = 0
        self.seconds = 0.0
        self._before = self._checkpoint()
        self._check_folder(keep)

    @property
    def progress(self) -> bool | None:
        """What `fit` gets as `progress`."""
        return False if self.quiet else None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What `fit` gets of all this."""
        if self.checkpoints is None:
            return {"progress": self.progress}
        minutes = self.checkpoints.checkpoint_minutes
        return {
            "progress": self.progress,
            "checkpoint": self.folder,
            "checkpoint_minutes": 10.0 if minutes is None else minutes,
            "resume": self.checkpoints.resume,
        }

    @contextlib.contextmanager
    def run(self) -> Generator[None, None, None]:
        """A block that trains and saves: whatever ends it, the message says what is in the folder.

        Raises:
            InterruptedWorkError: Ctrl-C.
            StoppedError: training diverged, memory or disk is full, or another process was lost.
        """
        from logq.training.checkpoint import was_restarted  # loads what only a training needs

        if self.checkpoints is not None and self.checkpoints.resume and self._before is None:
            note(f"there is no checkpoint in {self.folder}: training starts from scratch.")
        is_new = self.checkpoints is not None and not self.checkpoints.resume and not was_restarted()
        if is_new and self._before is not None:
            note(f"the checkpoint of an earlier run in {self.folder} will be replaced; --resume would continue it.")
        began = time.monotonic()
        try:
            yield
        except KeyboardInterrupt as stop:
            raise InterruptedWorkError(self.saved()) from stop
        except (FloatingPointError, MemoryError, ConnectionError) as error:
            raise StoppedError(error, self.saved()) from error
        except OSError as error:
            if error.errno in _FULL_DISK:
                raise StoppedError(error, self.saved()) from error
            raise
        finally:
            self.seconds = time.monotonic() - began

    def _check_folder(self, keep: bool) -> None:
        """Refuse to replace in passing what is in the folder.

        Raises:
            BadInputError: there is nothing to resume, but a finished model; or the folder holds another kind of model.
        """
        resumes = self.checkpoints is not None and self.checkpoints.resume
        if self.overwrite:
            return
        if resumes and self._before is None and (self.folder / f"{self.what}.safetensors").exists():
            raise BadInputError(
                f"--resume: {self.folder} holds a finished training and no checkpoint of one that was stopped; nothing "
                "was changed. More data or more epochs need a training from the beginning: --overwrite beside --resume "
                "does that and replaces what is there, another --output keeps both"
            )
        held = self._held()
        if held not in (None, self.kind) or (keep and held is not None):
            raise BadInputError(
                f"--output: {self.folder} holds {_CALLED.get(held or '', f'a {held}')}, and a folder holds one "
                "model; take another folder, or replace that by --overwrite"
            )

    def clear(self) -> None:
        """Take away what a model of another kind left in the folder, now that there is one in its place."""
        for kind, names in _FILES.items():
            for name in names if kind != self.kind else ():
                if name not in _FILES[self.kind]:
                    path = self.folder / name
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    path.unlink(missing_ok=True)

    def _held(self) -> str | None:
        """The kind of model that is in the folder; None where that cannot be told."""
        if (self.folder / "vectors.safetensors").exists():
            return "word vectors"
        if not (self.folder / "model.safetensors").exists():
            return "index" if (self.folder / "index.safetensors").exists() else None
        if (self.folder / "training.json").exists():
            return "recommender"
        from logq.folders.folder_contents import find_entry

        with contextlib.suppress(OSError, ValueError):
            entry = find_entry(self.folder)
            return None if entry is None else entry.family
        return None

    def saved(self) -> str:
        """Return what is in the folder, as a sentence."""
        if self.done:
            kept = f"the {self.what} of {self.done} of {self.epochs} epochs are in {self.folder}"
        elif (self.folder / f"{self.what}.safetensors").exists():
            kept = f"{self.folder} still holds the {self.what} of an earlier run"
        else:
            kept = f"no {self.what} {'was' if self.what == 'model' else 'were'} saved"
        now = self._checkpoint()
        if now is None:
            return f"{kept}."
        if now == self._before:
            return f"{kept}; the checkpoint in {self.folder} is as it was before."
        return f"{kept}; the same command with --resume continues from the checkpoint in {self.folder}."

    def _checkpoint(self) -> tuple[int, int] | None:
        """What distinguishes the checkpoint from one that replaced it; None if there is none."""
        try:
            status = (self.folder / "checkpoint.safetensors").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns
