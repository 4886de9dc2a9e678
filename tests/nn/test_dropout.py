"""ByteDropout against what dropout is: a share of zeros, and the mean as before."""

import pytest
import torch

from logq.nn.dropout import ByteDropout


def test_dropout_drops_its_share_and_keeps_the_mean():
    """The share scatters by 0.0014, and the bound is 5.1 times that: fails with one seed in three million."""
    dropout = ByteDropout(0.25)
    x = torch.full((333, 301), 2.0, requires_grad=True)
    y = dropout(x)
    kept = y != 0
    assert abs(float((~kept).float().mean()) - 0.25) < 0.007
    torch.testing.assert_close(y[kept].detach(), torch.full_like(y[kept], 2 / 0.75))
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / 0.75)
    assert not torch.equal(dropout(x), y)
    assert dropout.eval()(x) is x
    assert ByteDropout(0.0)(x) is x
    with pytest.raises(ValueError, match=r"^p: expected a finite number"):
        ByteDropout(1.0)


def test_examples_of_vmap_are_dropped_as_they_ask_for():
    dropout, x = ByteDropout(0.25), torch.ones(3, 5000)
    for randomness in ("same", "different"):
        y = torch.func.vmap(dropout, randomness=randomness)(x)
        assert abs(float((y == 0).float().mean()) - 0.25) < 0.035
        assert torch.equal(y[0], y[1]) == (randomness == "same")


def test_a_graph_drops_anew_for_any_batch():
    shapes = ({0: torch.export.Dim("rows")},)
    made = torch.export.export(ByteDropout(0.5), (torch.ones(4, 50),), dynamic_shapes=shapes).module()
    one, other = made(torch.ones(30, 50)), made(torch.ones(30, 50))
    assert not torch.equal(one, other)
    assert abs(float((one == 0).float().mean()) - 0.5) < 0.07
