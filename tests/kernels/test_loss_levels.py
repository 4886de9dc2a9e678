"""The loss kernels at every set of instructions that runs here, against plain torch in float64."""

import itertools

import pytest
import torch
from torch import Tensor

from logq.kernels import _native
from logq.kernels.cpp import arrays, tiles
from logq.kernels.cpp.loss_passes import per_row_pass, shared_pass
from logq.kernels.passes import PassInputs
from pass_oracle import losses_and_gradients as by_oracle

LEVELS = _native.simd_levels()
WIDTHS = [1, 3, 8, 17, 64, 100, 131, 300]  # around the lanes of all levels, and several strips of them
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-5, torch.bfloat16: 3e-5, torch.float16: 3e-5}


def arguments(
    width: int, sampled: int, per_row: bool, dtype: torch.dtype, num_true: int, seed: int = 0, rows: int = 9
) -> list:
    """A batch with hits, copies, excluded columns, rows that lack a true class, and offsets of NaN for these."""
    classes = 40
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    real = torch.float64 if dtype is torch.float64 else torch.float32
    targets = torch.randint(classes, (rows, num_true), generator=generator)
    ids = torch.randint(classes, (rows, sampled) if per_row else (sampled,), generator=generator)
    if sampled:
        ids[..., 0] = targets[0, 0]
    targets[3] = -100
    targets[5, -1] = -100
    return [
        normal(rows, width).to(real) / width**0.25,
        (normal(classes, width) / width**0.25).to(dtype),
        targets,
        ids,
        normal(rows, num_true).to(real).masked_fill(targets < 0, torch.nan),
        normal(*ids.shape).to(real),
        torch.rand(rows, sampled, generator=generator) < 0.2,
        torch.rand(rows, generator=generator).to(real),
    ]


def assert_equal(given: list, monkeypatch: pytest.MonkeyPatch, level: str, **options) -> None:
    dtype = given[1].dtype
    wide = [x.double() if x.is_floating_point() else x for x in given]
    exact = by_oracle(PassInputs(*wide, **options, gradients=True))
    monkeypatch.setattr(arrays, "SIMD", level)
    function = per_row_pass if given[3].dim() == 2 else shared_pass
    found = function(PassInputs(*given, **options, gradients=True))
    for name, actual, expected in zip(found._fields, found, exact, strict=True):
        assert actual.dtype == given[0].dtype
        error = (actual.double() - expected).abs().max().item() if expected.numel() else 0.0
        assert error <= TOLERANCE[dtype] * (1 + expected.abs().max().item() if expected.numel() else 1), name
        assert actual.shape == expected.shape
    losses = function(PassInputs(*given, **options, gradients=False))
    assert torch.equal(losses.losses, found.losses)
    assert [part.numel() for part in losses[1:]] == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("per_row", [False, True], ids=["shared", "per row"])
@pytest.mark.parametrize("level", LEVELS)
def test_widths_and_sizes(level, per_row, dtype, monkeypatch):
    for width, sampled in itertools.product(WIDTHS, [0, 1, 15, 16, 33]):
        for softmax, cosine in itertools.product([False, True], [False, True]):
            given = arguments(width, sampled, per_row, dtype, 1 if softmax else 2)
            options = {"softmax": softmax, "cosine": cosine, "remove_hits": not cosine, "temperature": 0.7}
            assert_equal(given, monkeypatch, level, **options)


@pytest.mark.parametrize("softmax", [False, True], ids=["logistic", "softmax"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("tile", [(1, 1), (6, 2), (64, 4), (300, 20)])
def test_tiles_of_any_size(tile, level, softmax, monkeypatch):
    """Tiles of few rows, and of some of the columns: then softmax goes over them twice."""
    monkeypatch.setattr(tiles, "TILE", tile[0])
    monkeypatch.setattr(tiles, "FEWEST_ROWS", tile[1])
    given = arguments(5, 33, False, torch.float64, 1)
    given[5] = torch.linspace(-3, 3, 9 * 33, dtype=torch.float64).view(9, 33)  # offsets of their own for each row
    assert_equal(given, monkeypatch, level, softmax=softmax, cosine=False, remove_hits=True, temperature=0.7)


@pytest.mark.parametrize("softmax", [False, True], ids=["logistic", "softmax"])
@pytest.mark.parametrize("in_cache", [0, 1 << 21])
@pytest.mark.parametrize("level", LEVELS)
def test_products_of_many_rows(level, in_cache, softmax, monkeypatch):
    """Several tiles, panels and depths, none of them full, by compiled products and by torch's."""
    monkeypatch.setattr(tiles, "IN_CACHE", in_cache)
    for width, sampled in ((37, 150), (130, 64), (4, 300)):
        given = arguments(width, sampled, False, torch.float32, 1, rows=107)
        for own in (False, True):
            if own:
                given[5] = torch.linspace(-3, 3, 107 * sampled).view(107, sampled)
            assert_equal(given, monkeypatch, level, softmax=softmax, cosine=False, remove_hits=True, temperature=0.7)


@pytest.mark.parametrize("per_row", [False, True], ids=["shared", "per row"])
@pytest.mark.parametrize("softmax", [False, True], ids=["logistic", "softmax"])
@pytest.mark.parametrize("level", LEVELS)
def test_logits_far_apart(level, softmax, per_row, monkeypatch):
    """Logits of hundreds neither overflow nor lose the classes that are near the greatest."""
    given = arguments(4, 20, per_row, torch.float32, 1)
    given[0] = given[0] * 200
    assert_equal(given, monkeypatch, level, softmax=softmax, cosine=False, remove_hits=True, temperature=1.0)


@pytest.mark.parametrize("per_row", [False, True], ids=["shared", "per row"])
@pytest.mark.parametrize("softmax", [False, True], ids=["logistic", "softmax"])
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_not_a_number_stays_so(level, softmax, per_row, monkeypatch):
    monkeypatch.setattr(arrays, "SIMD", level)
    given = arguments(4, 20, per_row, torch.float32, 1)
    given[6] = None
    given[0][1, 2] = torch.nan
    function = per_row_pass if per_row else shared_pass
    options = {"softmax": softmax, "cosine": False, "remove_hits": True, "temperature": 1.0}
    found = function(PassInputs(*given, **options, gradients=True))
    assert found.losses[1].isnan()
    assert found.input_gradient[1].isnan().any()
    assert found.losses[[0, 2, 3, 4, 5, 6, 7, 8]].isfinite().all()


@pytest.mark.parametrize("per_row", [False, True], ids=["shared", "per row"])
@pytest.mark.parametrize("softmax", [False, True], ids=["logistic", "softmax"])
def test_a_class_of_weight_zero(softmax, per_row):
    """A bias of minus infinity takes a class out."""
    given = arguments(4, 20, per_row, torch.float32, 1)
    without = [x.clone() for x in given]
    given[5][..., 7] = -torch.inf
    without[6][:, 7] = True
    function = per_row_pass if per_row else shared_pass
    options = {"softmax": softmax, "cosine": False, "remove_hits": True, "temperature": 1.0, "gradients": True}
    for actual, expected in zip(
        function(PassInputs(*given, **options)), function(PassInputs(*without, **options)), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_classes_outside_of_the_table_are_not_read():
    given = arguments(4, 20, True, torch.float32, 1)
    options = {"softmax": False, "cosine": False, "remove_hits": True, "temperature": 1.0, "gradients": True}
    for place, name in ((2, "targets"), (3, "ids")):
        wrong = [x.clone() for x in given]
        wrong[place][2, 0] = 40
        with pytest.raises(ValueError, match=rf"{name}: expected classes in \[0, 40\), got 40 at place"):
            per_row_pass(PassInputs(*wrong, **options))
