"""Run pytest with another build of the compiled core, whatever core is installed.

python tests/sanitizers/with_core.py build/sanitize-thread tests/kernels -k threads
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

NAME = "logq.kernels._native"


def load(folder: Path) -> None:
    """Put the core of a build tree where an import will find it first."""
    (path,) = folder.glob("_native*.so")
    spec = spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load(Path(sys.argv[1]))
    sys.exit(pytest.main(sys.argv[2:]))
