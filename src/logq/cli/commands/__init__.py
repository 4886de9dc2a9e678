"""The commands, one file each; `logq.cli.app` has the table of them.

A file has a function, whose docstring is the help of the command and whose parameters are its arguments and options,
and EXAMPLES, one per line. Nothing slow is imported before the function runs.
"""

__all__: list[str] = []
