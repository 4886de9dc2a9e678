"""Vectors of a table in files: written by several processes, read by any number; a version is there whole or not."""

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sharded_cases
from logq.distributed import ShardedClassTable, VectorShards, vector_shards, write_vector_shards
from sharded_cases import C, first_rows


def table(**options: Any) -> ShardedClassTable:
    return ShardedClassTable(C, sharded_cases.D, init=first_rows, **options)


@pytest.mark.parametrize("readers", [1, 2, 3, 4])
def test_any_number_of_processes_reads_what_one_wrote(readers: int, tmp_path: Path) -> None:
    given = table()
    assert given.part.bias is not None
    with torch.no_grad():
        given.part.bias.copy_(given.own_ids())
    write_vector_shards(given, tmp_path)
    shards = VectorShards(tmp_path)
    parts = [shards.part(rank, readers) for rank in range(readers)]
    ids = np.concatenate([part.ids for part in parts])
    assert sorted(ids) == list(range(C))
    vectors = np.concatenate([part.vectors for part in parts])
    assert np.array_equal(vectors, first_rows(torch.from_numpy(ids)).float().numpy())
    assert np.array_equal(np.concatenate([np.asarray(part.bias) for part in parts]), ids.astype(np.float32))
    assert max(len(part.ids) for part in parts) == -(-C // readers)


def test_a_disk_that_is_full_leaves_the_former_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vector_shards(table(), tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(vector_shards, "write_tensors", full)
    with pytest.raises(OSError, match="No space left"):
        write_vector_shards(table(), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.undo()
    write_vector_shards(table(bias=False, dtype=torch.float64), tmp_path)
    (shard,) = VectorShards(tmp_path)
    assert shard.bias is None
    assert shard.vectors.dtype == np.float64
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1  # the former version is gone


def test_folders_of_others_stay(tmp_path: Path) -> None:
    for name in ("notes-2026-11-29", "0123456789abcdef"):  # as long as the name of a version, or one itself
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").touch()
    for _ in range(2):
        write_vector_shards(table(), tmp_path)
    assert len(list(tmp_path.rglob("mine.txt"))) == 2
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_damage_is_seen(tmp_path: Path) -> None:
    write_vector_shards(table(), tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed or is damaged, the digest of 'vectors' differs"):
        list(VectorShards(tmp_path))
    manifest = tmp_path / "manifest.json"
    about = json.loads(manifest.read_text())
    for wrong in ({"format": "other"}, {"num_classes": 7}, {"files": 3}):
        manifest.write_text(json.dumps(about | wrong))
        with pytest.raises(ValueError, match=r"manifest\.json"):
            VectorShards(tmp_path)
    manifest.write_text(json.dumps(about))
    with pytest.raises(ValueError, match="rank: expected a number below size = 2, got 2"):
        VectorShards(tmp_path).part(2, 2)
    with pytest.raises(FileNotFoundError):
        VectorShards(tmp_path / "elsewhere")
