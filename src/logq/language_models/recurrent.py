"""RecurrentLM: a GRU or an LSTM that reads a text word by word, its encoder, and its estimator."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._launch import ALONE, World
from logq.language_models.neural_configs import RecurrentLMConfig
from logq.language_models.neural_language_model import NeuralLanguageModel
from logq.language_models.output_layers import OutputLayer
from logq.language_models.text_tasks import BLOCK, TextEncoder, TextTask, word_vectors
from logq.nn.dropout import ByteDropout
from logq.shapes import check_ids, check_shape
from logq.text.tokens import Tokens
from logq.training.devices import Device

__all__ = ["RecurrentEncoder", "RecurrentLM"]

EVALUATED = 2048
"""Words that are read at a time in an evaluation."""

STATE_VECTORS = {"gru": 1, "lstm": 2}
"""The cells by name, and the number of vectors in the state of each."""


class RecurrentEncoder(TextEncoder):
    """Turns words into a query after each of them, which an output layer compares with all words.

        x_t = vector of word t
        h_t, state_t = cell(x_t, state_{t-1})      the query is h_t of the last layer

    Dropout applies to the word vectors, between layers, and to the queries.

    Args:
        vocab_size: V.
        dim: width of the word vectors.
        hidden: D, width of a layer and of a query.
        cell: "gru" or "lstm".
        layers: number of stacked layers.
        dropout: in training, in [0, 1).
        sparse: whether the table of word vectors gets sparse gradients, for the optimizers of logq.optim.

    Shape:
        words (B, L) int64 and a state (S, layers, B, D) -> queries (B, L, D) and the state after the last word; S is 1
        for GRU, whose state is h, and 2 for LSTM, whose state is h and c. Gradients flow back through the state:
        detach it to cut them off.

    Attributes:
        words: the word vectors, an embedding with weight (V, dim).
        out_features: D.

    Raises:
        ArgumentError, ArgumentTypeError: an argument, a word or a state is not as described.

    References:
        Mikolov, Karafiat, Burget, Cernocky, Khudanpur, Recurrent neural network based language model, Interspeech 2010.
        Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014, arXiv:1406.1078 (GRU, in the
        form of cuDNN, which torch has too: r multiplies after the product). Hochreiter and Schmidhuber, Long Short-Term
        Memory, Neural Computation 1997 (LSTM, with forget gates: Gers et al. 2000).

    Example:
        >>> encoder = RecurrentEncoder(1000, 16, 32)
        >>> queries, state = encoder(torch.tensor([[5, 7, 999]]), encoder.first_state(1))
        >>> queries.shape, state.shape
        (torch.Size([1, 3, 32]), torch.Size([1, 1, 1, 32]))
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        *,
        cell: str = "gru",
        layers: int = 1,
        dropout: float = 0.0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        if cell not in STATE_VECTORS:
            raise ArgumentError("cell", f"one of {', '.join(STATE_VECTORS)}", cell)
        self.cell = cell
        self.words = word_vectors(vocab_size, dim, sparse=sparse)
        make = nn.GRU if cell == "gru" else nn.LSTM
        widths = [dim] + [check_int("hidden", hidden)] * (check_int("layers", layers) - 1)
        self.layers = nn.ModuleList(make(width, hidden) for width in widths)
        self.dropout = ByteDropout(dropout)
        self.out_features = hidden

    def first_state(self, batch_size: int) -> Tensor:
        """The state (S, layers, B, D) before any word: zeros."""
        shape = (STATE_VECTORS[self.cell], len(self.layers), batch_size, self.out_features)
        return self.words.weight.new_zeros(shape)

    def forward(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Queries after words that follow a state, and the next state."""
        check_ids("words", words, self.words.num_embeddings)
        check_shape("words", words, "BL", {})
        wanted = (STATE_VECTORS[self.cell], len(self.layers), len(words), self.out_features)
        if state.shape != wanted:
            raise ArgumentError("state", f"(S, layers, B, D) = {wanted}", Verbatim(tuple(state.shape)))
        # Cells take time first: transposing ids is cheap next to transposing their vectors.
        x, after = self.dropout(self.words(words.t())), []
        for number, layer in enumerate(self.layers):
            before = state[:, number].unsqueeze(1)
            x, last = layer(x, before[0] if len(before) == 1 else (before[0], before[1]))
            after.append(last[None] if isinstance(last, Tensor) else torch.stack(last))
            x = self.dropout(x)
        return x.transpose(0, 1), torch.cat(after, dim=1)


class RecurrentLM(RecurrentLMConfig, NeuralLanguageModel):
    """Reads a text word by word and keeps what it has read in a state; see RecurrentEncoder.

    Training reads the text in `batch_size` columns side by side, `bptt` words at a time, and passes the state on from
    one batch to the next; gradients stay within a batch. `evaluate` reads a text from its first word to its last as one
    stream, with its state. `score`, `next_words` and `generate` begin a line with an empty state, after </s>.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Mikolov et al., Recurrent neural network based language model, Interspeech 2010. Cho et al., 2014,
        arXiv:1406.1078. Hochreiter and Schmidhuber, 1997. Press and Wolf, Using the Output Embedding to Improve
        Language Models, EACL 2017, arXiv:1608.05859 (tied).

    Example:
        >>> text = [["roses", "are", "red"]] * 50
        >>> model = RecurrentLM(dim=8, hidden=16, objective="full_softmax", batch_size=4, epochs=5, lr=0.05, seed=1)
        >>> model = model.fit(text, progress=False)
        >>> model.generate("roses", temperature=0)
        'roses are red'
    """

    def _make_encoder(self, vocab_size: int, *, sparse: bool) -> RecurrentEncoder:
        return RecurrentEncoder(
            vocab_size,
            self.dim,
            self.hidden,
            cell=self.cell,
            layers=self.layers,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _shared_weight(self) -> nn.Parameter | None:
        return self.model.word_table if self.tied else None

    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> "ColumnTask":
        return ColumnTask(self._encoder, output, tokens, self.batch_size, self.bptt, device)

    def _query_blocks(
        self, tokens: Tokens, device: Device, share: World = ALONE
    ) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        state, last = self._encoder.first_state(1), np.array([tokens.end], dtype=np.int32)
        for number, words in enumerate(tokens.blocks(EVALUATED)):
            queries, state = self._read(np.concatenate([last, words[:-1]]), state, device)  # whoever yields them
            last = words[-1:]
            if number % share.size == share.rank:
                yield words, queries

    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        words = np.array([self._end, *ids], dtype=np.int32)
        return self._read(words, self._encoder.first_state(1), device)[0]

    def _read(self, words: NDArray[np.int32], state: Tensor, device: Device) -> tuple[Tensor, Tensor]:
        with device.autocast():
            row = torch.from_numpy(words.astype(np.int64))[None].to(device.torch_device)
            queries, after = self._encoder(row, state)
        return queries[0], after.to(state.dtype)

    @property
    def _encoder(self) -> RecurrentEncoder:
        assert isinstance(self.model, RecurrentEncoder)
        return self.model


class ColumnTask(TextTask):
    """Truncated backpropagation through time: the text as B columns side by side, read from top to bottom.

    Column b has the tokens from b n to (b + 1) n, n = tokens // B; up to B - 1 tokens at the end of the text are left
    out. Of W processes each reads B of B W columns. A batch is the next L rows. The state carries over from batch to
    batch, its gradient does not. Each epoch begins with the state that a text begins with.

    Args:
        encoder: reads words.
        output: predicts the next word.
        tokens: the text.
        columns: B.
        bptt: L.
        device: where it is trained.

    Raises:
        ArgumentError: there are more columns than tokens.

    Example:
        See logq.language_models.RecurrentLM, whose `fit` makes one.
    """

    def __init__(
        self,
        encoder: RecurrentEncoder,
        output: OutputLayer,
        tokens: Tokens,
        columns: int,
        bptt: int,
        device: Device,
    ) -> None:
        self.rows = len(tokens) // (columns * device.world.size)
        if self.rows == 0:
            among = f" for {device.world.size} processes" if device.world.size > 1 else ""
            raise ArgumentError("batch_size", f"at most the {len(tokens)} tokens of the text{among}", columns)
        super().__init__(encoder, output, tokens, device, state=encoder.first_state(columns))
        self._columns, self._bptt = columns, bptt
        self.examples = self.rows * columns

    @property
    def num_batches(self) -> int:
        """How many batches there are in an epoch."""
        return -(-self.rows // self._bptt)

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        """The batches from number `first` on: `words` (L + 1, B), each row the input for the next."""
        if first == 0:
            self._trained.state.zero_()
        return self._batches(first)

    def _batches(self, first: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int]]:
        length = max(1, BLOCK // self._columns // self._bptt) * self._bptt
        for start in range(first * self._bptt, self.rows, length):
            block = self._block(start, min(start + length, self.rows))
            for row in range(0, len(block) - 1, self._bptt):
                words = block[row : row + self._bptt + 1].astype(np.int64)
                yield {"words": words}, (len(words) - 1) * self._columns

    def _block(self, start: int, stop: int) -> NDArray[np.int32]:
        """Rows start - 1 to stop of all columns; before the first token of the text stands END."""
        block = np.empty((stop - start + 1, self._columns), dtype=np.int32)
        for column in range(self._columns):
            begin = (self._device.world.rank * self._columns + column) * self.rows + start
            block[1:, column] = self._tokens.read(begin, begin + stop - start)
            block[0, column] = self._tokens.read(begin - 1, begin)[0] if begin else self._tokens.end
        return block

    def _queries(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        words = batch["words"]
        queries, state = self._encode(words[:-1].t(), self._trained.state.clone())
        self._trained.state.copy_(state.detach())  # in place, where a captured step looks for it
        # Row after row, as the cells left them: nothing is copied.
        return queries.transpose(0, 1).reshape(-1, queries.shape[-1]), words[1:].reshape(-1)
