"""`python -m logq.cli`: the same as the command `logq`."""

import sys

from logq.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
