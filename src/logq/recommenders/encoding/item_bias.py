"""Biases of items, whole or in parts, as what a loss asks for those of some items."""

import torch
from torch import Tensor, nn

from logq._arguments import check_bool
from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.processes import add_up
from logq.recommenders.encoding.item_tables import not_whole

__all__ = ["ItemBias", "ShardedBias"]


class ItemBias:
    """Biases (C,) that are looked up by the codes of items.

    Args:
        weight: the biases, a parameter of the model.
        sparse: whether they get sparse gradients where they are looked up here.

    Example:
        >>> bias = ItemBias(nn.Parameter(torch.tensor([0.5, 1.5])))
        >>> bias(torch.tensor([1, 1])), bias.mean()
        (tensor([1.5000, 1.5000], grad_fn=<ViewBackward0>), tensor(1.))
    """

    def __init__(self, weight: nn.Parameter, *, sparse: bool = False) -> None:
        self.weight, self.sparse = weight, check_bool("sparse", sparse)

    def __call__(self, codes: Tensor) -> Tensor:
        """The biases of codes, of their shape."""
        return torch.gather(self.weight, 0, codes.flatten(), sparse_grad=self.sparse).view(codes.shape)

    @torch.no_grad()
    def mean(self) -> Tensor:
        """The mean of all."""
        return self.weight.mean()

    @torch.no_grad()
    def append(self, more: int) -> None:
        """Take in more items, with the mean of all as their biases."""
        self.weight.data = torch.cat([self.weight.data, self.mean().expand(more)])


class ShardedBias(ShardedEmbedding):
    """An ItemBias of which each process has, and updates, a part; see ShardedEmbedding. All processes ask it at once.

    The parameter is one of the model that makes this, under the name that whole biases have there, and not one of this
    module.

    Args:
        num_items: C.
        sparse: as for `ItemBias`.

    Example:
        >>> ShardedBias(10)(torch.tensor([3, 9])).detach()
        tensor([0., 0.])
    """

    def __init__(self, num_items: int, *, sparse: bool = True) -> None:
        super().__init__(num_items, None, init=lambda ids: torch.zeros(len(ids), 1), sparse=sparse)
        vars(self)["weight"] = self._parameters.pop("weight")

    @torch.no_grad()
    def mean(self) -> Tensor:
        """The mean of all, which all processes ask for at once."""
        total = self.weight.sum()
        add_up(total, "add up biases", self.part.group)
        return total / self.num_rows

    def append(self, more: int) -> None:
        """No process can take in items by itself.

        Raises:
            ArgumentError: always.
        """
        raise not_whole(self)
