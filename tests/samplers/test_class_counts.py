import re

import numpy as np
import pytest
import torch

from logq.samplers.class_counts import check_counts, read_counts

FALLING = [5.0, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "counts",
    [
        [5, 4, 3, 2, 1],
        (5.0, 4.0, 3.0, 2.0, 1.0),
        range(5, 0, -1),
        torch.arange(5, 0, -1),
        torch.arange(5, 0, -1, dtype=torch.bfloat16),
        torch.nn.Parameter(torch.arange(5, 0, -1.0)),
        np.arange(5, 0, -1, dtype=np.uint64),
        np.arange(5, 0, -1, dtype=np.float16),
        np.arange(5, 0, -1).astype(">i4"),
        np.arange(1, 6)[::-1],  # sorted by falling count
        [np.int64(5), torch.tensor(4), 3, 2, True],
    ],
)
def test_whatever_holds_numbers(counts):
    values = check_counts(counts, 5)
    assert values.dtype == torch.float64
    assert not values.requires_grad
    assert values.tolist() == FALLING


def test_read_only_arrays_and_no_writing_to_the_callers():
    counts = np.array(FALLING)
    values = check_counts(counts)
    values.zero_()
    assert counts.tolist() == FALLING
    counts.flags.writeable = False
    assert check_counts(counts).tolist() == FALLING
    tensor = torch.tensor(FALLING, dtype=torch.float64)
    check_counts(tensor).zero_()
    assert tensor.tolist() == FALLING


def test_floats_are_double():
    assert check_counts([1e300, 1e-300, 0.1]).tolist() == [1e300, 1e-300, 0.1]


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([], ValueError, "expected shape (5,), got (0,)"),
        ([1, 2], ValueError, "expected shape (5,), got (2,)"),
        ([[1, 2, 3, 4, 5]], ValueError, "expected shape (5,), got (1, 5)"),
        (7, ValueError, "expected shape (5,), got ()"),
        ([1, 2, -3, -4, 5], ValueError, "expected finite numbers >= 0, got -3 for class 2"),
        ([1, float("nan"), 3, 4, 5], ValueError, "got nan for class 1"),
        ([1, 2, 3, 4, float("inf")], ValueError, "got inf for class 4"),
        ([0] * 5, ValueError, "expected at least one positive count, all are 0"),
        ("abcde", TypeError, "expected numbers, one per class, got str"),
        (list("12345"), TypeError, "got list"),
        (None, TypeError, "got NoneType"),
        ({1: 2}, TypeError, "got dict"),
        ([[1], [2, 3]], TypeError, "got list"),
        ([1j] * 5, TypeError, "got list"),
        (torch.ones(5, dtype=torch.complex64), TypeError, "got Tensor"),
        ([1, 2, 3, 4, 10**30], TypeError, "got list"),
    ],
)
def test_wrong_counts(counts, error, message):
    with pytest.raises(error, match="^counts: .*" + re.escape(message)):
        check_counts(counts, 5)


def test_number_of_classes_is_that_of_the_counts_if_unknown():
    assert len(check_counts(FALLING)) == 5
    with pytest.raises(ValueError, match=re.escape("counts: expected shape (C,), got (0,)")):
        check_counts([])


@pytest.mark.parametrize(
    "text",
    [
        "5\n4.0\n3e0\n",
        "the 5\nof 4\nand 3\n",
        "the,5\nof,4\nand,3\n",
        "the\t5\r\nof\t4\r\nand\t3",
        "\n the , 7 , 5\n\n  \nvêtement 4\n1984 3\n",
    ],
)
def test_read(tmp_path, text):
    path = tmp_path / "counts.txt"
    path.write_bytes(text.encode())
    values = read_counts(path)
    assert values.dtype == torch.float64
    assert values.tolist() == [5, 4, 3]


def test_read_names_file_and_line(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("the 5\n\nof four\n")
    with pytest.raises(ValueError, match=r"counts\.txt, line 3: expected a count at the end, got 'four'"):
        read_counts(str(path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_counts(tmp_path / "nowhere")
