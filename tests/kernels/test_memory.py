"""Large pages are asked for, and change nothing that a table holds."""

import sys
from pathlib import Path

import pytest
import torch

from logq.kernels.memory import prefer_huge_pages

ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_values_stay(dtype):
    table = torch.arange(3_000_000).to(dtype).view(-1, 3)
    before = table.clone()
    prefer_huge_pages(table)
    assert torch.equal(table, before)


def test_nothing_to_ask_for():
    assert not prefer_huge_pages(torch.empty(0, 4))
    assert not prefer_huge_pages(torch.empty(4, 4, device="meta"))
    assert not prefer_huge_pages(torch.empty(4000, 4000).T)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
@pytest.mark.skipif(
    not ENABLED.exists() or "[never]" in ENABLED.read_text(), reason="needs an operating system that grants huge pages"
)
def test_a_new_table_is_marked():
    """The flag `hg` stands at the mapping that the table lies in; whether large pages are free is another matter."""
    table = torch.empty(64 << 20, dtype=torch.uint8)
    assert prefer_huge_pages(table.view(torch.float32))
    address, inside, flags = table.data_ptr() + table.numel() // 2, False, ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            begin, end = (int(number, 16) for number in first.split("-"))
            inside = begin <= address < end
        elif inside and first == "VmFlags:":
            flags = rest
    assert "hg" in flags
