"""scripts/golden_tensorflow.py makes every file of TensorFlow; where that is installed, they are what it returns."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "golden_tensorflow.py"
specification = importlib.util.spec_from_file_location("golden_tensorflow", SCRIPT)
assert specification is not None
assert specification.loader is not None
golden_tensorflow = importlib.util.module_from_spec(specification)
specification.loader.exec_module(golden_tensorflow)


def test_every_file_has_its_maker_and_its_line():
    files = {path.stem for path in (ROOT / "tests" / "golden").glob("tf_*")}
    assert files == set(golden_tensorflow.FILES)
    readme = (ROOT / "tests" / "golden" / "README.md").read_text(encoding="utf-8")
    assert not [name for name in files if f"`{name}.npz`" not in readme]


@pytest.mark.parametrize("name", ["tf_three_true_classes", "tf_counts_of_rows"])
def test_inputs_are_those_of_the_file(name):
    """Made by numpy alone, so that a change in them is seen without TensorFlow too."""
    made = golden_tensorflow.MADE[name]()
    with np.load(ROOT / "tests" / "golden" / f"{name}.npz") as file:
        assert golden_tensorflow.differences({key: file[key] for key in made}, made) == []
    changed = made | {"gy": made["gy"] + 1e-9}
    assert golden_tensorflow.differences(made, changed) == ["gy"]


@pytest.mark.slow
def test_tensorflow_returns_what_is_in_the_files():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    answer = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
