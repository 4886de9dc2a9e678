"""What the loop trains for a neural language model: an encoder of text and an output layer, on batches of a text."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import check_bool, check_int
from logq.language_models.output_layers import OutputLayer
from logq.text.tokens import Tokens
from logq.training.compiling import Compiled
from logq.training.devices import Device

__all__ = ["BLOCK", "TextEncoder", "TextTask", "word_vectors"]

BLOCK = 1 << 20
"""Tokens that a task holds in memory at a time."""


def word_vectors(vocab_size: int, dim: int, *, sparse: bool) -> nn.Embedding:
    """The table of a model's inputs: (V, dim), from a normal distribution with standard deviation 0.1.

    Example:
        >>> word_vectors(10, 4, sparse=True)
        Embedding(10, 4, sparse=True)
    """
    size = (check_int("vocab_size", vocab_size), check_int("dim", dim))
    weight = torch.empty(size).normal_(std=0.1)
    return nn.Embedding.from_pretrained(weight, freeze=False, sparse=check_bool("sparse", sparse))


class TextEncoder(nn.Module):
    """Turns words into queries, which an output layer compares with all words.

    Attributes:
        words: the word vectors, an embedding with weight (V, dim).
        out_features: D, width of a query.
    """

    words: nn.Embedding
    out_features: int

    @property
    def word_table(self) -> nn.Parameter:
        """(V, dim), the word vectors as a parameter, which an output layer may share."""
        weight = self.words.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of word vectors, where its gradients are sparse."""
        return [self.word_table] if self.words.sparse else []


class _Trained(nn.Module):
    """An encoder with its output layer, and the state that the next batch starts from: all of it is in checkpoints."""

    state: Tensor

    def __init__(self, model: TextEncoder, output: OutputLayer, state: Tensor | None) -> None:
        super().__init__()
        self.model, self.output = model, output
        self.register_buffer("state", state)


class TextTask(ABC):
    """What a loop trains: an encoder and its output layer, on batches of a text.

    Args:
        encoder: turns words into queries.
        output: predicts the next word.
        tokens: the text.
        device: where it is trained.
        state: that the encoder carries from batch to batch, if it has one.

    Attributes:
        examples: number of tokens in an epoch, of this process.
    """

    unit = "tokens"
    examples: int

    def __init__(
        self, encoder: TextEncoder, output: OutputLayer, tokens: Tokens, device: Device, state: Tensor | None = None
    ) -> None:
        self._trained = _Trained(encoder, output, state)
        self.module: nn.Module = self._trained
        self._encode: Callable[..., Any] = encoder
        self._encoder, self._output, self._tokens, self._device = encoder, output, tokens, device

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Number of batches in an epoch."""

    @abstractmethod
    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches of an epoch from number `first` on, and the number of tokens in each."""

    @abstractmethod
    def _queries(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Queries (N, D) and the words (N,) that they should find."""

    def compile(self) -> None:
        """Let torch.compile make kernels of the encoder."""
        self._encode = Compiled(self._encoder)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        with self._device.autocast():
            queries, targets = self._queries(batch)
        return self._output.loss(queries.to(torch.promote_types(queries.dtype, torch.float32)), targets)

    def mass(self, batch: Mapping[str, Tensor], count: int) -> float:
        """The number of words."""
        return count

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients are sparse."""
        return [*self._encoder.sparse_parameters(), *self._output.sparse_parameters()]
