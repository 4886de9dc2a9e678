"""Every loss under the transforms of torch.func, forward derivatives, fake tensors and graphs in the making."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import grad, hessian, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from logq import functional
from logq.candidates import IGNORED, Candidates
from logq.kernels import logits
from logq.kernels.fallback import FallbackWarning
from logq.samplers import InBatch, LogUniform

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{FallbackWarning.__module__}.{FallbackWarning.__qualname__}"),
    # torch itself scripts the derivatives of some functions when the first derivative goes forward.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning"),
]

B, C, D, S = 4, 12, 3, 5
TARGETS = torch.tensor([3, 0, 11, 3])
LOSSES = [name for name in functional.__all__ if name not in ("sampled_loss", "full_loss")]
SAMPLES = {
    "shared": LogUniform(C, S, seed=1, dtype=torch.float64),
    "per_row": LogUniform(C, S, seed=1, per_row=True, dtype=torch.float64),
    "in_batch": InBatch(C, counts=torch.ones(C), dtype=torch.float64),
}

Loss = Callable[..., Tensor]


def numbers(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Input, class weights and biases."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((B, D), (C, D), (C,)))  # pyright: ignore[reportReturnType]


def make(name: str, sample: str, **options: object) -> tuple[Loss, list[Tensor]]:
    """A loss of input, weights, biases and more tensors, which are returned too; the targets are among them."""
    if name.startswith("full"):
        return lambda x, w, b, targets: getattr(functional, name)(x, w, targets, bias=b, **options), [TARGETS]
    candidates = SAMPLES[sample].draw(TARGETS)
    tensors = [part for part in candidates if part is not None]
    return (
        lambda x, w, b, *parts: getattr(functional, name)(x, w, Candidates(*parts), bias=b, **options),
        tensors,
    )


def each(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test for every loss, over every kind of sample where it samples."""
    cases = [(name, kind) for name in LOSSES for kind in SAMPLES if not name.startswith("full") or kind == "shared"]
    return pytest.mark.parametrize(("name", "sample"), cases)(test)


def close(actual: Tensor, expected: Tensor, rtol: float = 1e-8) -> None:
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=1e-10)


@each
def test_vmap_over_any_argument_is_a_loop(name: str, sample: str) -> None:
    loss, more = make(name, sample, cosine=sample == "shared")
    arguments = [*numbers(), *more]
    for place, value in enumerate(arguments):
        if value.dtype == torch.bool:
            continue
        several = torch.stack([value, value.flip(0), (value + 1) % C if value.dtype == torch.int64 else 2 * value])

        def at(one: Tensor, place: int = place) -> Tensor:
            return loss(*arguments[:place], one, *arguments[place + 1 :])

        close(vmap(at)(several), torch.stack([at(one) for one in several]))


def test_vmap_over_targets_with_ignored_ones_counts_each_examples_own_rows() -> None:
    x, w, b = numbers()
    several = torch.tensor([[3, IGNORED, 11, IGNORED], [1, 2, 3, 4]])
    made = vmap(lambda targets: functional.full_softmax_loss(x, w, targets, bias=b))(several)
    close(made, torch.stack([functional.full_softmax_loss(x, w, one, bias=b) for one in several]))
    with pytest.raises(ValueError, match=r"targets: expected class ids in \[0, 12\) or ignore_index = -100, got 12"):
        vmap(lambda targets: functional.full_softmax_loss(x, w, targets))(several + (several == 11))


@each
def test_gradients_of_single_rows_by_vmap(name: str, sample: str) -> None:
    loss, more = make(name, sample, reduction="none")
    x, w, b = numbers()
    made = vmap(grad(lambda w, mask: (loss(x, w, b, *more) * mask).sum()), in_dims=(None, 0))(w, torch.eye(B).double())
    close(made, torch.autograd.functional.jacobian(lambda w: loss(x, w, b, *more), w))


@each
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_tangents_are_those_of_finite_differences(name: str, sample: str, reduction: str) -> None:
    """Whether or not tensors want gradients as well, and whichever of them has a tangent."""
    loss, more = make(name, sample, reduction=reduction, cosine=reduction == "none")
    arguments, directions = numbers(), numbers(1)
    for moved in ((0,), (1,), (2,), (0, 1, 2)):
        step = [direction * (place in moved) for place, direction in enumerate(directions)]
        ahead, behind = ([p + h * d for p, d in zip(arguments, step, strict=True)] for h in (1e-6, -1e-6))
        expected = (loss(*ahead, *more) - loss(*behind, *more)) / 2e-6
        found = [jvp(lambda *a: loss(*a, *more), arguments, tuple(step))[1]]
        for wants in (False, True):
            with forward_ad.dual_level():
                duals = [p.clone().requires_grad_(wants) for p in arguments]
                for place in moved:
                    duals[place] = forward_ad.make_dual(duals[place], step[place])
                tangent = forward_ad.unpack_dual(loss(*duals, *more)).tangent
            assert tangent is not None
            found.append(tangent)
        for one in found:
            torch.testing.assert_close(one, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_go_forward_over_backward(name: str) -> None:
    loss, more = make(name, "shared")
    x, w, b = numbers()
    expected = torch.autograd.functional.hessian(lambda x: loss(x, w, b, *more), x)
    close(hessian(lambda x: loss(x, w, b, *more))(x), expected)
    direction = numbers(1)[0]
    with forward_ad.dual_level():
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(forward_ad.make_dual(leaf, direction), w, b, *more), leaf)
        close(forward_ad.unpack_dual(gradient).tangent, (expected * direction).sum(dim=(2, 3)))


@pytest.mark.parametrize("name", LOSSES)
def test_the_tangent_of_what_comes_from_above_reaches_the_gradient(name: str) -> None:
    loss, more = make(name, "shared")
    x, w, b = numbers()
    w.requires_grad_()
    value = loss(x, w, b, *more)
    with forward_ad.dual_level():
        upstream = forward_ad.make_dual(torch.ones_like(value), torch.full_like(value, 2.0))
        (gradient,) = torch.autograd.grad(value, w, upstream)
        made = forward_ad.unpack_dual(gradient)
        close(made.tangent, 2 * made.primal)


@each
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_fake_tensors_have_the_shapes_of_losses_and_gradients(name: str, sample: str, reduction: str) -> None:
    loss, more = make(name, sample, reduction=reduction)
    for all_fake in (True, False):
        with FakeTensorMode(allow_non_fake_inputs=not all_fake) as mode:
            x, w, b = (mode.from_tensor(value).requires_grad_() for value in numbers())
            made = loss(x, w, b, *(map(mode.from_tensor, more) if all_fake else more))
            made.sum().backward()
        assert made.shape == ((B,) if reduction == "none" else ())
        assert [value.grad.shape for value in (x, w, b)] == [(B, D), (C, D), (C,)]  # pyright: ignore[reportOptionalMemberAccess]


@each
def test_graphs_hold_for_other_numbers(name: str, sample: str) -> None:
    """Of make_fx and torch.jit.trace: nothing that was computed meanwhile is frozen into them."""
    loss, more = make(name, sample)
    others = [value.flip(0) if value.dtype != torch.bool else value for value in more]

    def with_gradient(x: Tensor, w: Tensor, b: Tensor, *parts: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach().requires_grad_()
        value = loss(x, w, b, *parts)
        return value, torch.autograd.grad(value, w)[0]

    new = [*numbers(1), *others]
    expected = with_gradient(*new)
    for mode in ("real", "symbolic"):
        for made, right in zip(
            make_fx(with_gradient, tracing_mode=mode)(*numbers(), *more)(*new), expected, strict=True
        ):
            close(made, right)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and checks of sizes are constants to it
        traced = torch.jit.trace(loss, (*numbers(), *more), check_trace=False)
    # What is divided by sizes, as the rate of gBCE, is in float32 there.
    close(traced(*new), expected[0], rtol=1e-7)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("name", ["full_softmax_loss", "full_logistic_loss"])
def test_tables_of_many_chunks_are_transformed_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, more = make(name, "shared")
    x, w, b = numbers()
    expected = loss(x, w, b, *more), grad(lambda w: loss(x, w, b, *more))(w)
    monkeypatch.setattr(logits, "CHUNK_LOGITS", 2 * B)
    direction = numbers(1)[1]
    value, tangent = jvp(lambda w: loss(x, w, b, *more), (w,), (direction,))
    close(value, expected[0])
    close(tangent, (expected[1] * direction).sum())
    close(grad(lambda w: loss(x, w, b, *more))(w), expected[1])


@pytest.mark.parametrize("name", ["sampled_softmax_loss", "nce_loss", "full_softmax_loss"])
def test_tables_in_half_precision_are_transformed_too(name: str) -> None:
    loss, more = make(name, "shared")
    x, w, b = numbers()
    x, b, narrow, direction = x.float(), b.float(), w.bfloat16(), numbers(1)[1].bfloat16()
    leaf = narrow.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(x, leaf, b, *more), leaf)
    torch.testing.assert_close(grad(lambda w: loss(x, w, b, *more))(narrow), expected, rtol=1e-2, atol=1e-3)
    _, tangent = jvp(lambda w: loss(x, w, b, *more), (narrow,), (direction,))
    exact = (expected.double() * direction.double()).sum()
    torch.testing.assert_close(tangent.double(), exact, rtol=2e-2, atol=2e-2)
    both = vmap(lambda w: loss(x, w, b, *more))(torch.stack([narrow, 2 * narrow]))
    torch.testing.assert_close(both[1], loss(x, 2 * narrow, b, *more))
