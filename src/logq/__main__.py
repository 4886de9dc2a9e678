"""`python -m logq`: the same as the command `logq`, for launchers that start modules, such as torchrun -m."""

import sys

from logq.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
