"""The command line: train vectors, look at them, draw them, without writing Python.

Nothing here imports torch or numpy before a command runs, so that help and mistakes in the arguments answer at once.
"""

from logq.cli.app import main

__all__ = ["main"]
