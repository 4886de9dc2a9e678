"""What is written is read back by the library that owns the format."""

import io

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from logq import _model_file
from logq._model_file import write_tensors


def written(tensors, metadata=None):
    file = io.BytesIO()
    write_tensors(file, tensors, metadata or {})
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (5, 4), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(dtype, shape):
    array = (np.random.default_rng(0).random(shape) * 9).astype(dtype)
    other = np.arange(3, dtype=np.uint8)
    back = load(written({"array": array, "other": other}))
    assert back["array"].dtype == array.dtype
    assert back["array"].shape == array.shape
    assert np.array_equal(back["array"], array)
    assert np.array_equal(back["other"], other)


def test_views_are_made_contiguous_piece_by_piece(monkeypatch):
    monkeypatch.setattr(_model_file, "_CHUNK", 100)
    table = np.random.default_rng(0).random((50, 16)).astype(np.float32)
    for view in (table[:, :5], table.T, table[::-2], table[:, ::3]):
        assert np.array_equal(load(written({"view": view}))["view"], view)


def test_equal_arrays_give_equal_bytes_in_whatever_order():
    a, b = np.ones(3, np.float32), np.arange(4)
    assert written({"a": a, "b": b}, {"x": "1", "y": "2"}) == written({"b": b, "a": a}, {"y": "2", "x": "1"})


def test_metadata_comes_back(tmp_path):
    (tmp_path / "file").write_bytes(written({"a": np.ones(1)}, {"said": "naïve \N{SNOWMAN}"}))
    with safe_open(tmp_path / "file", framework="numpy") as file:
        assert file.metadata()["said"] == "naïve \N{SNOWMAN}"


def test_other_dtypes_are_named():
    with pytest.raises(TypeError, match=r"^c: expected one of float64, .*, got complex128"):
        written({"c": np.ones(2, np.complex128)})
