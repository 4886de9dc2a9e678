"""What examples in docstrings may take for granted."""

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """Spare each example the line `import torch`."""
    doctest_namespace["torch"] = torch
