import re

import pytest
import torch
from torch import Tensor

from cases import SAMPLERS
from logq.candidates import IGNORED
from logq.samplers import Draw, LogUniform, Sampler, Uniform, Unigram


class Constant(Sampler):
    """Always classes 0 and 1, and what was seen of the calls."""

    def __init__(self, num_classes: int, **arguments) -> None:
        super().__init__(num_classes, **arguments)
        self.learned: list[Tensor] = []

    def log_expected_count(self, ids: Tensor) -> Tensor:
        return ids.to(self.dtype) + 1

    def _draw(self, targets: Tensor, generator: torch.Generator) -> Draw:
        return Draw(torch.tensor([0, 1]), self.log_expected_count)

    def learn(self, targets: Tensor) -> None:
        self.learned.append(targets)


def test_a_sampler_needs_both_methods():
    with pytest.raises(TypeError, match=r"_draw.*log_expected_count"):
        Sampler(3)


def test_draw_asks_for_the_counts_of_samples_and_targets():
    candidates = Constant(9, dtype=torch.float64).draw(torch.tensor([[5, 3], [IGNORED, 8]]))
    assert candidates.log_expected_count.tolist() == [1, 2]
    assert candidates.true_log_expected_count.tolist() == [[6, 4], [0, 9]]


def test_it_learns_after_drawing_in_training_mode_only():
    sampler = Constant(9)
    sampler.draw(torch.tensor([5, 7, 2]), ignore_index=7)
    assert [targets.tolist() for targets in sampler.learned] == [[5, IGNORED, 2]]
    sampler.eval().draw(torch.tensor([1]))
    assert len(sampler.learned) == 1


def test_default_dtype_is_torchs_and_single_at_least():
    assert Uniform(3, 1).dtype == torch.float32
    assert Uniform(3, 1, dtype=torch.bfloat16).dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert Uniform(3, 1).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_without_a_seed_two_samplers_differ():
    one, other = Uniform(1 << 40, 4), Uniform(1 << 40, 4)
    targets = torch.tensor([1])
    assert not torch.equal(one.draw(targets).ids, other.draw(targets).ids)


@pytest.mark.parametrize("seed", [0, 1 << 63, (1 << 64) - 1])
def test_any_seed_of_64_bits(seed):
    targets = torch.tensor([1])
    assert torch.equal(
        Uniform(1 << 40, 4, seed=seed).draw(targets).ids, Uniform(1 << 40, 4, seed=seed).draw(targets).ids
    )


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([1, 2], TypeError, "expected a tensor of class ids, got list"),
        (torch.tensor([1.0]), TypeError, "expected dtype torch.int64, got torch.float32"),
        (torch.tensor([1], dtype=torch.int32), TypeError, "expected dtype torch.int64, got torch.int32"),
        (
            torch.tensor([1, 9]),
            ValueError,
            "expected class ids in [0, 9) or ignore_index = -100, got 9 at position (1,)",
        ),
        (torch.tensor([[1], [-1]]), ValueError, "got -1 at position (1, 0)"),
        (torch.tensor(1), ValueError, "expected shape (B,) or (B, T) with T >= 1, got ()"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), ValueError, "got (1, 2, 3)"),
        (torch.zeros(4, 0, dtype=torch.int64), ValueError, "got (4, 0)"),
        (
            torch.zeros(4, dtype=torch.int64, device="meta"),
            ValueError,
            "expected a tensor on cpu, where the sampler is",
        ),
    ],
)
def test_wrong_targets(targets, error, message):
    with pytest.raises(error, match="targets: .*" + re.escape(message)):
        Constant(9).draw(targets)


def test_a_true_class_that_is_never_drawn_is_refused_on_request():
    sampler = Unigram([0, 1, 1, 5], 4, seed=1)
    assert sampler.draw(torch.tensor([0, 3])).true_log_expected_count[0] == -torch.inf
    with pytest.raises(ValueError, match=r"^targets: expected classes that the sampler can draw, got 0"):
        sampler.draw(torch.tensor([3, 0]), need_log_q=True)


def test_the_stream_goes_on_after_another_device():
    sampler, stays = Uniform(1000, 5, seed=3), Uniform(1000, 5, seed=3)
    targets = torch.tensor([1])
    first = sampler.draw(targets).ids
    stays.draw(targets)
    sampler.to("meta")
    assert sampler.device.type == "meta"
    sampler.to_empty(device="cpu")
    again = sampler.draw(targets).ids
    assert not torch.equal(again, first)
    assert torch.equal(again, stays.draw(targets).ids)


BAD_DRAWS = {
    "ignore_index": [1.5, True, "x", None, 1 << 70],
    "generator": [5, "seed", True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_DRAWS.items() for value in values])
def test_bad_arguments_of_draw_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name}: "):
        Uniform(5, 3).draw(torch.tensor([1]), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("replacement", "no"), ("replacement", None), ("per_row", 1), ("device", "bogus")]
)
def test_flags_and_devices_are_named(name, value):
    for distribution in (Uniform, LogUniform):
        with pytest.raises((ValueError, TypeError), match=f"^{name}: "):
            distribution(5, 3, **{name: value})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_draws_where_the_targets_are():
    for make in SAMPLERS.values():
        sampler = make(40, torch.float32, 1).to("cuda")
        candidates = sampler.draw(torch.tensor([3, 0, 39], device="cuda"))
        assert all(part is None or part.device.type == "cuda" for part in candidates)
