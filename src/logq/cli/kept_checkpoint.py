"""What a folder holds of a run: its checkpoint and its model, before the run and after it was stopped."""

from pathlib import Path

from logq.cli.errors import say_error

__all__ = ["KeptCheckpoint"]

_CHECKPOINT, _MODEL = "checkpoint.safetensors", "model.safetensors"


class KeptCheckpoint:
    """The checkpoint in a folder, and whether a run has changed it.

    Args:
        folder: where model and checkpoint go.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     KeptCheckpoint(Path(folder)).say()
        'no model was saved.'
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = self._state()

    def look(self, *, resume: bool) -> None:
        """Say what becomes of a checkpoint that is there, or that none is there to resume from."""
        if resume and self._before is None:
            _note(f"there is no checkpoint in {self.folder}: training starts anew.")
        if not resume and self._before is not None:
            _note(f"{self.folder} has a checkpoint of an earlier run, which is replaced; --resume would go on from it.")

    def say(self) -> str:
        """Return what is there now that the run was stopped."""
        if (self.folder / _MODEL).exists():
            kept = f"{self.folder} still holds the model of an earlier run"
        else:
            kept = "no model was saved"
        now = self._state()
        if now is None:
            return f"{kept}."
        if now == self._before:
            return f"{kept}; the checkpoint in {self.folder} is as it was before."
        return f"{kept}; the same command with --resume goes on from the checkpoint in {self.folder}."

    def _state(self) -> tuple[int, int] | None:
        try:
            status = (self.folder / _CHECKPOINT).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def _note(text: str) -> None:
    say_error(text, "Note")
