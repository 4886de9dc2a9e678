"""Memory behind tensors: large pages, storages that can be resized, and tensors that have none of their own."""

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from logq import kernels, optim, samplers
from logq.functional import full_loss, sampled_loss
from logq.kernels import FallbackWarning, fallback
from logq.kernels.tensor_memory import is_plain, prefer_huge_pages, read_ahead
from logq.kernels.updates import RowRule

ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_values_stay(dtype):
    table = torch.arange(3_000_000).to(dtype).view(-1, 3)
    before = table.clone()
    prefer_huge_pages(table)
    assert torch.equal(table, before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
def test_rows_of_a_file_are_read_before_they_are_looked_at(tmp_path):
    """Pages of the rows that were asked for come to memory, all others stay on disk."""
    path, dim = tmp_path / "table", 1000
    torch.arange(512.0 * dim).numpy().tofile(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    table = torch.from_file(str(path), shared=True, size=512 * dim).view(512, dim)
    if in_memory(table).any():
        pytest.skip("the folder of temporary files lies in memory")
    rows = torch.tensor([[500, 0], [77, 500]])
    read_ahead(table, torch.cat([rows, torch.tensor([[-1, 512]])]))
    wanted = {row * 4 * dim + byte >> 12 for row in (0, 77, 500) for byte in (0, 4 * dim - 1)}
    for _ in range(200):
        found = set(in_memory(table).nonzero()[0].tolist())
        if found >= wanted:
            break
        time.sleep(0.05)
    assert found == wanted
    assert torch.equal(table[rows][..., 0], rows * float(dim))


def in_memory(table: torch.Tensor) -> np.ndarray:
    """Which pages of a mapped table are in memory."""
    pages = np.zeros(-(-table.nbytes // 4096), np.uint8)
    address, size = ctypes.c_void_p(table.data_ptr()), ctypes.c_size_t(table.nbytes)
    assert ctypes.CDLL(None).mincore(address, size, ctypes.c_void_p(pages.ctypes.data)) == 0
    return pages & 1


def test_nothing_to_ask_for():
    read_ahead(torch.empty(0, 4), torch.tensor([0]))
    read_ahead(torch.empty(4, 4, device="meta"), torch.tensor([0]))
    read_ahead(torch.ones(4, 4).T[:2], torch.tensor([0]))
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


def test_storages_stay_resizable():
    """FSDP gives the memory of parameters back between steps. A tensor that numpy has seen cannot do that any more."""
    weight, bias = nn.Parameter(torch.randn(50, 8)), nn.Parameter(torch.zeros(50))
    prefer_huge_pages(weight)
    for per_row, kind in ((False, optim.SGD), (True, optim.LazyAdam)):
        optimizer = kind([weight, bias], lr=0.1)
        candidates = samplers.Uniform(50, 4, seed=1, per_row=per_row).draw(torch.arange(6))
        sampled_loss("nce", torch.randn(6, 8), weight, candidates, bias=bias).backward()
        optimizer.step()
    full_loss("full_softmax", torch.randn(6, 8), weight, torch.arange(6), bias=bias).backward()
    for tensor in (weight, bias):
        tensor.data.untyped_storage().resize_(0)
        assert tensor.data.untyped_storage().size() == 0


@pytest.fixture
def mesh():
    """A group of this process alone."""
    if not dist.is_available():
        pytest.skip("torch without torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.distributed itself
def test_a_distributed_table_is_left_to_torch(mesh):
    """It has no memory of its own: compiled code would write anywhere."""
    table = distribute_tensor(torch.ones(8, 4), mesh, [Shard(0)])
    rows = distribute_tensor(torch.ones(8, 4), mesh, [Shard(0)])
    assert not is_plain(table)
    fallback.forget_reports()
    with pytest.warns(FallbackWarning, match="update_rows on the reference, not on cpp: .*such as DTensor"):
        kernels.get("update_rows")(RowRule("sgd", lr=0.5), table, None, rows)
    assert torch.equal(table.to_local(), torch.full((8, 4), 0.5))
    with pytest.raises(RuntimeError, match="got mixed"):
        kernels.get("update_rows")(RowRule("adagrad", lr=0.5, states=(torch.zeros(8, 4),)), table, None, rows)
