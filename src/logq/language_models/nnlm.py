"""NNLM: the neural probabilistic language model of Bengio et al. 2003, its encoder, and its estimator."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim, check_bool, check_int
from logq._launch import ALONE, World
from logq.language_models.neural_configs import NNLMConfig
from logq.language_models.neural_language_model import NeuralLanguageModel
from logq.language_models.output_layers import OutputLayer
from logq.language_models.text_tasks import BLOCK, TextEncoder, TextTask, word_vectors
from logq.nn.dropout import ByteDropout
from logq.shapes import check_ids, check_shape
from logq.text.tokens import Tokens
from logq.training.devices import Device

__all__ = ["NNLM", "NNLMEncoder"]

EVALUATED = 4096
"""Words whose queries are computed at a time in an evaluation."""


class NNLMEncoder(TextEncoder):
    """Turns the n - 1 words before a word into a query, which an output layer compares with all words.

        x = vectors of the context, concatenated             ((n - 1) dim)
        y = b + W x + U tanh(d + H x)                         the paper's logits of the words

    The logits y are the product of the table [U | W] and [tanh(d + H x) | x], plus a bias: so U, W and b belong to the
    output layer, and `query` returns the features. Without `direct` they are tanh(d + H x) alone, as W is optional.

    Args:
        vocab_size: V.
        dim: width of the word vectors.
        context: n - 1, the number of words that are read.
        hidden: width of the tanh layer.
        direct: whether x is among the features.
        dropout: of the features in training, in [0, 1).
        sparse: whether the table of word vectors gets sparse gradients, for the optimizers of logq.optim.

    Shape:
        contexts (B, n - 1) int64, the most recent word last -> queries (B, D), D = hidden + (n - 1) dim, or hidden.

    Attributes:
        words: the word vectors, an embedding with weight (V, dim).
        out_features: D.

    Raises:
        ArgumentError, ArgumentTypeError: an argument or a context is not as described.

    References:
        Bengio, Ducharme, Vincent, Jauvin, A Neural Probabilistic Language Model, JMLR 2003, section 2, Eq. 1.

    Example:
        >>> encoder = NNLMEncoder(1000, 16, 3, 32)
        >>> encoder.query(torch.tensor([[5, 7, 999]])).shape
        torch.Size([1, 80])
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        context: int,
        hidden: int,
        *,
        direct: bool = True,
        dropout: float = 0.0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.context = check_int("context", context)
        self.words = word_vectors(vocab_size, dim, sparse=sparse)
        self.layer = nn.Linear(context * dim, check_int("hidden", hidden))
        self.direct = check_bool("direct", direct)
        self.dropout = ByteDropout(dropout)
        self.out_features = hidden + context * dim if direct else hidden

    def query(self, contexts: Tensor) -> Tensor:
        """The features (B, D) of contexts (B, n - 1)."""
        check_ids("contexts", contexts, self.words.num_embeddings)
        check_shape("contexts", contexts, "BL", {})
        if contexts.shape[1] != self.context:
            raise ArgumentError("contexts", f"(B, {self.context})", Verbatim(tuple(contexts.shape)))
        x = self.words(contexts).flatten(1)
        hidden = torch.tanh(self.layer(x))
        return self.dropout(torch.cat([hidden, x], dim=1) if self.direct else hidden)

    def forward(self, contexts: Tensor) -> Tensor:
        """As `query`."""
        return self.query(contexts)


class NNLM(NNLMConfig, NeuralLanguageModel):
    """Predicts a word from the vectors of the few words before it in its line, by one hidden layer; see NNLMEncoder.

        x = vectors of the context;   y = b + W x + U tanh(d + H x);   P(w | context) from y by the objective

    Where a line has fewer words before the predicted one, </s> stands for the others. So a text is as probable as its
    lines: log P of it is the sum of `score` over them.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Bengio, Ducharme, Vincent, Jauvin, A Neural Probabilistic Language Model, JMLR 2003.

    Example:
        >>> text = [["roses", "are", "red"]] * 50
        >>> model = NNLM(dim=8, hidden=16, context=2, objective="full_softmax", epochs=5, lr=0.05, dropout=0.0, seed=1)
        >>> model = model.fit(text, progress=False)
        >>> model.generate("roses", temperature=0)
        'roses are red'
    """

    def _make_encoder(self, vocab_size: int, *, sparse: bool) -> NNLMEncoder:
        return NNLMEncoder(
            vocab_size,
            self.dim,
            self.context,
            self.hidden,
            direct=self.direct,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> "ContextTask":
        return ContextTask(self._encoder, output, tokens, self.batch_size, seed, device)

    def _query_blocks(
        self, tokens: Tokens, device: Device, share: World = ALONE
    ) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        for start in range(share.rank * EVALUATED, len(tokens), share.size * EVALUATED):
            before, words = read_with_context(tokens, start, min(start + EVALUATED, len(tokens)), self.context)
            yield words, self._context_queries(before, words, device)

    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        before = np.full(self.context, self._end, dtype=np.int32)
        words = np.array([*ids, self._end], dtype=np.int32)
        return self._context_queries(before, words, device)

    def _context_queries(self, before: NDArray[np.int32], words: NDArray[np.int32], device: Device) -> Tensor:
        contexts = contexts_of(before, words, self.context, self._end).astype(np.int64)
        with device.autocast():
            return self._encoder.query(torch.from_numpy(contexts).to(device.torch_device))

    @property
    def _encoder(self) -> NNLMEncoder:
        assert isinstance(self.model, NNLMEncoder)
        return self.model


class ContextTask(TextTask):
    """All words of a text in random order, each with the words before it in its line.

    The order is random within BLOCK consecutive tokens, which are held in memory at a time. Of several processes each
    takes its share of every step.

    Args:
        encoder: of the contexts.
        output: predicts the next word.
        tokens: the text.
        batch_size: words in a batch of each process.
        seed: of their order.
        device: where it is trained.

    Example:
        See logq.language_models.NNLM, whose `fit` makes one.
    """

    def __init__(
        self, encoder: NNLMEncoder, output: OutputLayer, tokens: Tokens, batch_size: int, seed: int, device: Device
    ) -> None:
        super().__init__(encoder, output, tokens, device)
        self._step, self._seed, self._context = batch_size * device.world.size, seed, encoder.context
        self._block = max(1, BLOCK // self._step) * self._step
        self.examples = -(-len(tokens) // device.world.size)

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        return -(-len(self._tokens) // self._step)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches from number `first` on: `contexts` (B, n - 1) and `targets` (B,)."""
        world = self._device.world
        position = first * self._step
        while position < len(self._tokens):
            start = position - position % self._block
            stop = min(start + self._block, len(self._tokens))
            before, words = read_with_context(self._tokens, start, stop, self._context)
            contexts = contexts_of(before, words, self._context, self._tokens.end)
            order = np.random.default_rng([self._seed, epoch, start]).permutation(stop - start)
            for offset in range(position - start, stop - start, self._step):
                share = order[offset : offset + self._step][world.rank :: world.size]
                # At the end of the text there may be none left: a word then stands for it that does not count.
                chosen = share if len(share) else order[offset : offset + 1]
                batch = {"contexts": contexts[chosen].astype(np.int64), "targets": words[chosen].astype(np.int64)}
                yield batch, len(share)
            position = stop

    def _queries(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self._encode(batch["contexts"]), batch["targets"]


def read_with_context(
    tokens: Tokens, start: int, stop: int, context: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The `context` tokens before position `start`, and those from `start` to `stop`; END stands before the text.

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
    """The words before each word, the nearest last; whatever is before the beginning of its line is END.

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
