"""Arrays that stay in their file: the same numbers, read-only, of the types that tables have."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from logq._files import DamagedFileError
from logq._mapped_file import mapped_array, release_mapped
from logq._model_file import Stored, read_stored, read_tensors, write_stored


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_a_mapped_array_is_the_one_that_was_written(dtype: type, tmp_path: Path) -> None:
    table = np.arange(60).reshape(12, 5).astype(dtype)
    save_file({"other": np.ones(3), "table": table}, tmp_path / "x")
    mapped = mapped_array(str(tmp_path / "x"), "table")
    assert isinstance(mapped.base, mmap.mmap)
    assert not mapped.flags.writeable
    for _ in range(2):
        np.testing.assert_array_equal(mapped, table)
        release_mapped(mapped)  # what is read again comes from the file


def test_only_tables_are_mapped(tmp_path: Path) -> None:
    save_file({"other": np.ones(3)}, tmp_path / "x")
    for name in ("other", "none"):
        with pytest.raises(DamagedFileError, match=f"expected a tensor '{name}' of float32, float16 or int8"):
            mapped_array(str(tmp_path / "x"), name)


def test_what_is_mapped_is_named_and_its_digest_compared(tmp_path: Path) -> None:
    path, table = tmp_path / "x", np.arange(6, dtype=np.float32)
    stored = Stored("Table", {"mapped": "table"}, {"table": table, "other": table + 1})
    write_stored(path, stored, format="test")
    found = read_stored(path, format="test", mapped=lambda info: [info["mapped"], "missing"]).tensors
    assert [isinstance(found[name], np.memmap) for name in ("table", "other")] == [True, False]
    assert found["table"].tolist() == table.tolist()
    assert read_tensors(path, only=["other"], mapped=["table"]).keys() == {"other"}
    path.write_bytes(path.read_bytes().replace(table.tobytes(), table[::-1].tobytes()))
    with pytest.raises(DamagedFileError, match="the digest of 'table' differs"):
        read_stored(path, format="test", mapped=lambda _: ["table"])
    read_stored(path, format="test", mapped=lambda _: ["table"], check=False)


def test_memory_of_others_is_left_alone(tmp_path: Path) -> None:
    written = np.memmap(tmp_path / "x", np.float32, "w+", shape=(1024,))
    written[:] = 7
    release_mapped(written)
    release_mapped(np.zeros(3))
    release_mapped([1, 2])
    assert (written == 7).all()
