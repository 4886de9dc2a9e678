"""What is compiled for newer processors stays out of the way of older ones."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

OBJECTS = [
    path
    for path in Path(__file__).parents[2].glob("build/*/CMakeFiles/level_*.dir/src/**/*.cpp.o")
    if "sanitize" not in str(path)
]


@pytest.mark.skipif(not OBJECTS, reason="needs the objects of a build in build/")
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_objects_give_functions_of_their_level_and_no_shared_template():
    """A template that is weak in the object of a wide level may be what the linker takes for all of them."""
    for path in OBJECTS:
        command = ["nm", "--defined-only", "--extern-only", "--demangle", str(path)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        folder = next(part for part in path.parts if part.startswith("level_"))
        level = folder.removeprefix("level_").removesuffix(".dir")
        assert lines, path
        for line in lines:
            assert re.search(rf" T logq::\w+::\w+_{level}\(", line), line
