"""What docs/large-tables.md says works: a class table, and Adagrad's sums, in files."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).parents[1] / "docs" / "large-tables.md").read_text(encoding="utf-8")
BLOCKS = [block.replace("10_000_000, 64", "2_000, 8") for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)]


# torch warns of its own way of making sparse tensors.
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("adagrad", [False, True])
def test_rows_are_trained_in_the_file(adagrad: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setting_up, step = BLOCKS[0].split("loss = ")
    torch.manual_seed(1)
    names: dict[str, Any] = {}
    exec(setting_up, names)
    names |= {"input": torch.randn(4, 8), "targets": torch.tensor([3, 1999, 3, 7])}
    if adagrad:
        exec(BLOCKS[1], names)
    before = names["weight"].detach().clone()
    exec(f"loss = {step}", names)
    changed = (names["weight"] != before).any(1)
    assert changed[[3, 7, 1999]].all()
    assert not changed.all()
    del names["weight"], names["table"], names["optimizer"]
    in_file = torch.from_file("table.bin", shared=False, size=before.numel()).view_as(before)
    assert torch.equal((in_file != before).any(1), changed)
    if adagrad:
        sums = torch.from_file("sums.bin", shared=False, size=before.numel()).view_as(before)
        assert torch.equal((sums != 0).any(1), changed)
