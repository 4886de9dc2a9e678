"""What goes wrong in the course of a run, and names the argument to change; without torch."""

from logq._arguments import BadArgumentError

__all__ = ["DivergedError", "OtherCheckpointError"]


class _RunError(BadArgumentError):
    """A message that says of an argument something else than what was expected of it.

    Args:
        name: of the argument.
        said: the message; "{name}" in it becomes the name.
    """

    def __init__(self, name: str, said: str) -> None:
        super().__init__(name, said)
        self.args = (name, said)  # so that it can be pickled

    def message(self, name: str) -> str:
        """The message with another name for the argument."""
        return f"{name}: {self.expected.replace('{name}', name)}"


class DivergedError(_RunError, FloatingPointError):
    """Training diverged: weights or losses are not finite, or grow without end.

    Example:
        >>> raise DivergedError("lr", "training diverged in epoch 1; try less than 10")
        Traceback (most recent call last):
        ...
        logq.training.run_errors.DivergedError: lr: training diverged in epoch 1; try less than 10
    """


class OtherCheckpointError(_RunError, ValueError):
    """A checkpoint is of a run with other settings or other data.

    Example:
        >>> error = OtherCheckpointError("log", "the checkpoint belongs to another {name}")
        >>> print(error, "/", error.message("LOG"))
        log: the checkpoint belongs to another log / LOG: the checkpoint belongs to another LOG
    """
