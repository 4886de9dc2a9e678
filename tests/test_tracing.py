"""Where tensors have numbers that Python may read, and where they have none."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from logq.kernels.tensor_memory import is_plain
from logq.shapes import can_look_at, check_ids
from logq.tracing import beneath, has_numbers, is_exported, is_fake, is_traced, keeps_sizes


class Tagged(Tensor):
    """A class of a user, which computes as Tensor does."""


def seen(x: Tensor) -> tuple[bool, ...]:
    return is_traced(), has_numbers(x), can_look_at(x), is_plain(x), is_exported(), keeps_sizes(x)


NUMBERS = (False, True, True, True, False, False)


def test_tensors_outside_of_everything_have_numbers() -> None:
    assert seen(torch.ones(2)) == seen(nn.Parameter(torch.ones(2))) == NUMBERS
    assert seen(torch.ones(2).as_subclass(Tagged)) == (False, True, True, False, False, False)


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_graphs_of_make_fx_hold_no_number(mode: str) -> None:
    found: list[tuple[bool, ...]] = []
    make_fx(lambda x: (found.append(seen(x)), x + 1)[1], tracing_mode=mode)(torch.ones(2))
    assert found == [(True, False, False, False, False, True)]


def test_graphs_of_torch_export_and_jit_trace_hold_no_number() -> None:
    found: list[tuple[bool, ...]] = []

    class Look(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found.append(seen(x))
            return x + 1

    torch.export.export(Look(), (torch.ones(2),), strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Look(), (torch.ones(2),), check_trace=False)
    assert set(found) == {(True, False, False, False, True, True)}


def test_fake_tensors_have_no_number_in_their_mode_and_after_it() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(torch.ones(2))
        assert is_fake(fake)
        assert seen(torch.ones(2))[:4] == (True, False, False, False)
    assert not has_numbers(fake)
    assert not is_traced()
    assert not is_fake(torch.ones(2))


def test_only_the_tensors_that_stand_for_many_examples_have_none() -> None:
    other, found = torch.ones(2), []

    def look(x: Tensor) -> Tensor:
        found.append((has_numbers(x), has_numbers(other), beneath(x).tolist()))
        return x.sum()

    torch.func.vmap(look)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    torch.func.grad(look)(torch.tensor([1.0, 2.0]))
    torch.func.vmap(torch.func.grad(look))(torch.tensor([[5.0]]))
    assert found == [(False, True, [[1, 2], [3, 4]]), (True, True, [1, 2]), (False, True, [[5]])]


def test_ids_out_of_range_are_found_among_all_examples_of_vmap() -> None:
    def check(ids: Tensor) -> Tensor:
        assert check_ids("targets", ids, 5)
        return ids

    torch.func.vmap(torch.func.vmap(check))(torch.zeros(2, 3, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"targets: expected class ids in \[0, 5\), got 7 at position \(1, 0\)"):
        torch.func.vmap(check)(torch.tensor([[1], [7]]))
