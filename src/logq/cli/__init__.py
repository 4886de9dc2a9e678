"""The command line: train models, evaluate them, and use them, without writing Python.

Nothing here imports torch or numpy before a command runs, so that help and mistakes in the arguments answer at once.
"""

from logq.cli.app import main

__all__ = ["main"]
