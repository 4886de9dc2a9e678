"""Passes over shared samples and samples of rows against the oracle in plain torch: every part, dtype and option."""

import pytest
import torch
from torch import Tensor

import pass_oracle
from logq.candidates import IGNORED
from logq.kernels.cpp.loss_passes import per_row_pass, shared_pass
from logq.kernels.passes import LossesAndGradients, PassInputs
from pass_oracle import arguments, assert_alike

FUNCTIONS = {"shared": shared_pass, "per row": per_row_pass}
NARROW = [torch.float16, torch.bfloat16]


def both(shape: str, given: list[Tensor | None], **options) -> tuple[LossesAndGradients, LossesAndGradients]:
    return pass_oracle.both(FUNCTIONS[shape], given, **options)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("remove_hits", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_every_option(shape, softmax, remove_hits, cosine):
    sizes = (6, 1 if softmax else 2, 9, 12, 5)
    for offsets in ("own", "ids", "none"):
        for excluded in (False, True):
            for row_scale in (False, True):
                given = arguments(shape, sizes=sizes, offsets=offsets, excluded=excluded, row_scale=row_scale)
                options = {"softmax": softmax, "remove_hits": remove_hits, "cosine": cosine, "temperature": 0.7}
                assert_alike(both(shape, given, **options))
                assert_alike(both(shape, given, gradients=False, **options))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("storage", [torch.float32, *NARROW, torch.float64])
@pytest.mark.parametrize("real", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_every_storage(shape, real, storage, softmax):
    if storage == torch.float64 and real == torch.float32:
        return  # no such problem: the real type is the wider
    given = arguments(shape, real=real, storage=storage, sizes=(6, 1 if softmax else 2, 9, 12, 5))
    for cosine in (False, True):
        assert_alike(both(shape, given, softmax=softmax, cosine=cosine), 1e-12 if real == torch.float64 else 3e-6)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_true_classes_may_count_less(shape, cosine):
    for offsets in ("own", "none"):
        given = arguments(shape, offsets=offsets)
        options = {"cosine": cosine, "temperature": 0.7, "true_weight": 0.3}
        assert_alike(both(shape, given, **options))
        assert_alike(both(shape, given, gradients=False, **options))


# Around the widths of registers and of tiles, with remainders of every kind, and with nothing.
SIZES = [
    (1, 1, 1, 2, 1),
    (3, 1, 0, 5, 4),
    (0, 1, 4, 5, 3),
    (0, 1, 0, 2, 2),
    (5, 3, 17, 30, 15),
    (33, 1, 31, 40, 16),
    (17, 1, 65, 90, 33),
    (65, 1, 130, 200, 64),
    (130, 4, 300, 500, 100),
    (9, 1, 1000, 400, 129),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("real", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_every_size(shape, real, softmax, sizes):
    sizes = (sizes[0], 1 if softmax else sizes[1], *sizes[2:])
    given = arguments(shape, sizes=sizes, real=real, storage=real, offsets="ids")
    # In float32 a sum over 130 rows of numbers around 10 is exact to about 1e-4.
    assert_alike(both(shape, given, softmax=softmax), 1e-11 if real == torch.float64 else 3e-4)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_rows_of_the_table_may_be_apart(shape, softmax):
    given = arguments(shape, sizes=(6, 1, 9, 12, 5))
    wide = torch.full((12, 11), torch.nan, dtype=torch.float64)
    wide[:, 2:7] = given[1]
    expected = both(shape, given, softmax=softmax)[1]
    given[1] = wide[:, 2:7]
    options = {"softmax": softmax, "remove_hits": True, "temperature": 1.0, "cosine": False, "gradients": True}
    assert_alike((FUNCTIONS[shape](PassInputs(*given, **options)), expected))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_all_are_hits(shape, softmax):
    given = arguments(shape, sizes=(4, 1, 6, 3, 5))
    given[2] = torch.tensor([[1], [IGNORED], [1], [0]])
    given[3], given[4] = torch.ones_like(given[3]), torch.zeros_like(given[4])
    actual, expected = both(shape, given, softmax=softmax)
    assert_alike((actual, expected))
    if softmax:
        assert actual.losses.tolist()[:3] == [0, 0, 0]
    assert actual.losses[3] > 0


@pytest.mark.parametrize("real", [torch.float32, torch.float64])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", FUNCTIONS)
def test_logits_far_from_zero(shape, softmax, real):
    """+-10^4 and more: everything stays finite, and right to the spacing of floats there."""
    given = arguments(shape, sizes=(6, 1, 9, 12, 5), real=real, storage=real, offsets="none", row_scale=False)
    given[0], given[1] = 100 * given[0].sign(), 100 * given[1].sign()
    actual, expected = both(shape, given, softmax=softmax)
    for part in actual:
        assert part.isfinite().all()
    assert_alike((actual, expected), 1e-5 if real == torch.float32 else 1e-11)


@pytest.mark.parametrize("shape", FUNCTIONS)
def test_rows_of_zeros_have_no_direction(shape):
    given = arguments(shape)
    given[1] = torch.zeros_like(given[1])
    actual, expected = both(shape, given, cosine=True)
    assert_alike((actual, expected))
    assert not actual.input_gradient.any()


@pytest.mark.parametrize("shape", FUNCTIONS)
def test_threads_change_the_order_of_sums_only(shape):
    given = arguments(shape, sizes=(200, 1, 150, 300, 40))
    before = torch.get_num_threads()
    try:
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            assert_alike(both(shape, given, softmax=True), 1e-11)
    finally:
        torch.set_num_threads(before)
