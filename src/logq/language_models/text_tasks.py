"""The tasks of language models for a loop: a text in columns whose state goes on, or its places in any order."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from logq.language_models.output_layers import OutputLayer
from logq.language_models.text_encoders import NNLMEncoder, Recurrent
from logq.text.tokens import Tokens
from logq.training.devices import Device

__all__ = ["ColumnsTask", "PlacesTask", "contexts_of", "fingerprint"]

BLOCK = 1 << 20
"""Tokens that are held at a time."""


def fingerprint(tokens: Tokens) -> str:
    """What tells a text from another: its words, their counts, and how many tokens and lines there are.

    Example:
        >>> from logq.text import read_tokens
        >>> with read_tokens([["a", "b"]]) as one, read_tokens([["b", "a"]]) as other:
        ...     fingerprint(one) == fingerprint(other)
        False
    """
    digest = hashlib.sha256(f"{len(tokens)} {tokens.num_sentences}".encode())
    for word in tokens.vocabulary.index_to_key:
        digest.update(word.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(np.ascontiguousarray(tokens.counts).tobytes())
    return digest.hexdigest()


class _Trained(nn.Module):
    """A model with its output layer, and the state that the next batch goes on from: all of it is in checkpoints."""

    state: Tensor

    def __init__(self, model: nn.Module, output: OutputLayer, state: Tensor | None) -> None:
        super().__init__()
        self.model, self.output = model, output
        self.register_buffer("state", state)


class ColumnsTask:
    """Truncated backpropagation through time: the text as B columns side by side, read from top to bottom.

    Column b has tokens b n up to (b + 1) n, n = tokens // B; up to B - 1 tokens at the end of the text are left out.
    A batch is the next L rows. The state goes on from batch to batch, its gradient does not. Each epoch begins with the
    state that a text begins with.

    Args:
        model: reads words.
        output: finds the next word.
        tokens: the text.
        columns: B.
        bptt: L.
        device: where.

    Raises:
        ValueError: there are more columns than tokens.

    Example:
        See logq.language_models.RecurrentLM, whose `fit` makes one.
    """

    unit = "tokens"

    def __init__(
        self, model: Recurrent, output: OutputLayer, tokens: Tokens, columns: int, bptt: int, device: Device
    ) -> None:
        self.rows = len(tokens) // columns
        if self.rows == 0:
            raise ValueError(f"batch_size: expected at most the {len(tokens)} tokens of the text, got {columns}")
        self.module: nn.Module = _Trained(model, output, model.first_state(columns))
        self._trained = self.module
        self._model, self._output = model, output
        self._tokens, self._columns, self._bptt, self._device = tokens, columns, bptt, device
        self.examples = self.rows * columns

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        return -(-self.rows // self._bptt)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches from number `first` on: `words` (L + 1, B), each row the input for the next."""
        if first == 0:
            self._trained.state.zero_()
        length = max(1, BLOCK // self._columns // self._bptt) * self._bptt
        for start in range(first * self._bptt, self.rows, length):
            block = self._block(start, min(start + length, self.rows))
            for row in range(0, len(block) - 1, self._bptt):
                words = block[row : row + self._bptt + 1].astype(np.int64)
                yield {"words": words}, (len(words) - 1) * self._columns

    def _block(self, start: int, stop: int) -> NDArray[np.int32]:
        """Rows start - 1 up to stop of all columns; a line begins before the text does."""
        block = np.empty((stop - start + 1, self._columns), dtype=np.int32)
        for column in range(self._columns):
            begin = column * self.rows + start
            block[1:, column] = self._tokens.read(begin, begin + stop - start)
            block[0, column] = self._tokens.read(begin - 1, begin)[0] if begin else self._tokens.end
        return block

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        words = batch["words"]
        with self._device.autocast():
            queries, state = self._model(words[:-1].t(), self._trained.state)
        self._trained.state = state.detach().to(self._trained.state.dtype)
        # Row after row, as the cells left them: nothing is copied.
        queries = queries.transpose(0, 1).reshape(-1, queries.shape[-1])
        return self._output.loss(queries.float(), words[1:].reshape(-1))

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients are sparse."""
        return [*self._model.sparse_parameters(), *self._output.sparse_parameters()]


class PlacesTask:
    """All places of a text in random order, each with the words before it in its line.

    Order is random among BLOCK tokens that follow each other, which are held at a time.

    Args:
        model: reads contexts.
        output: finds the next word.
        tokens: the text.
        batch_size: places of a batch.
        seed: of their order.
        device: where.

    Example:
        See logq.language_models.NNLM, whose `fit` makes one.
    """

    unit = "tokens"

    def __init__(
        self, model: NNLMEncoder, output: OutputLayer, tokens: Tokens, batch_size: int, seed: int, device: Device
    ) -> None:
        self.module: nn.Module = _Trained(model, output, None)
        self._model, self._output = model, output
        self._tokens, self._batch_size, self._seed, self._device = tokens, batch_size, seed, device
        self._block = max(1, BLOCK // batch_size) * batch_size
        self.examples = len(tokens)

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        return -(-self.examples // self._batch_size)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches from number `first` on: `contexts` (B, n - 1) and `targets` (B,)."""
        at, context = first * self._batch_size, self._model.context
        while at < self.examples:
            start = at - at % self._block
            stop = min(start + self._block, self.examples)
            before, words = read_with_context(self._tokens, start, stop, context)
            contexts = contexts_of(before, words, context, self._tokens.end)
            order = np.random.default_rng([self._seed, epoch, start]).permutation(stop - start)
            for place in range(at - start, stop - start, self._batch_size):
                chosen = order[place : place + self._batch_size]
                batch = {"contexts": contexts[chosen].astype(np.int64), "targets": words[chosen].astype(np.int64)}
                yield batch, len(chosen)
            at = stop

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        with self._device.autocast():
            queries = self._model.query(batch["contexts"])
        return self._output.loss(queries.float(), batch["targets"])

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients are sparse."""
        return [*self._model.sparse_parameters(), *self._output.sparse_parameters()]


def read_with_context(
    tokens: Tokens, start: int, stop: int, context: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens start up to stop, and so many before them; before the text stands END.

    Example:
        >>> from logq.text import read_tokens
        >>> with read_tokens([["a", "b"]]) as tokens:
        ...     [part.tolist() for part in read_with_context(tokens, 1, 3, 2)]
        [[2, 0], [1, 2]]
    """
    begin = max(0, start - context)
    found = tokens.read(begin, stop)
    missing = np.full(context - (start - begin), tokens.end, dtype=np.int32)
    return np.concatenate([missing, found[: start - begin]]), found[start - begin :]


def contexts_of(
    before: NDArray[np.int32],  # (n - 1,)
    words: NDArray[np.int32],  # (N,)
    context: int,
    end: int,
) -> NDArray[np.int32]:  # (N, n - 1)
    """The words before each word, the nearest last; what is before the beginning of its line is END.

    Example:
        >>> contexts_of(np.array([0, 5], dtype=np.int32), np.array([6, 0, 7], dtype=np.int32), 2, end=0).tolist()
        [[0, 5], [5, 6], [0, 0]]
    """
    stream = np.concatenate([before, words])
    found = np.empty((len(words), context), dtype=np.int32)
    for back in range(1, context + 1):
        column = stream[context - back : len(stream) - back].copy()
        if back > 1:
            column[found[:, context - back + 1] == end] = end
        found[:, context - back] = column
    return found
