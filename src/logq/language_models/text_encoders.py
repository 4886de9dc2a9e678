"""Encoders of text: NNLM, from the few words before, and GRU or LSTM, from all of them."""

import torch
from torch import Tensor, nn

from logq._arguments import check_bool, check_int, shown
from logq.recommenders.encoders import ByteDropout
from logq.recommenders.item_tables import Table, column

__all__ = ["CELLS", "NNLMEncoder", "Recurrent"]


class NNLMEncoder(nn.Module):
    """Turns the n - 1 words before a word into a query, which an output layer compares all words with.

        x = vectors of the context, one after the other      ((n - 1) dim)
        y = b + W x + U tanh(d + H x)                         the paper's logits of the words

    In y stands a product of the table [U | W] and [tanh(d + H x) | x], plus a bias: so U, W and b are the output
    layer's, and `query` gives the features. Without `direct` they are tanh(d + H x) alone, as W is optional.

    Args:
        vocab_size: V.
        dim: width of a word's vector.
        context: n - 1, how many words are looked at.
        hidden: width of the tanh layer.
        direct: whether x is among the features.
        dropout: of the features in training, in [0, 1).
        sparse: whether the table of word vectors gets sparse gradients, for the optimizers of logq.optim.

    Shape:
        contexts (B, n - 1) int64, the word just before last -> queries (B, D), D = hidden + (n - 1) dim, or hidden.

    Attributes:
        words: the table (V, dim).
        out_features: D.

    Raises:
        TypeError, ValueError: an argument or a context is not as described.

    References:
        Bengio, Ducharme, Vincent, Jauvin, A Neural Probabilistic Language Model, JMLR 2003, section 2, Eq. 1.

    Example:
        >>> model = NNLMEncoder(1000, 16, 3, 32)
        >>> model.query(torch.tensor([[5, 7, 999]])).shape
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
        self.vocab_size = check_int("vocab_size", vocab_size)
        self.context = check_int("context", context)
        self.words = Table(vocab_size, check_int("dim", dim), std=0.1, sparse=sparse)
        self.layer = nn.Linear(context * dim, check_int("hidden", hidden))
        self.direct = check_bool("direct", direct)
        self.dropout = ByteDropout(dropout)
        self.out_features = hidden + context * dim if direct else hidden

    def query(self, contexts: Tensor) -> Tensor:
        """The features (B, D) of contexts (B, n - 1)."""
        contexts = column({"contexts": contexts}, "contexts", self.vocab_size, "BL")
        if contexts.shape[1] != self.context:
            raise ValueError(f"contexts: expected (B, {self.context}), got {tuple(contexts.shape)}")
        x = self.words(contexts).flatten(1)
        hidden = torch.tanh(self.layer(x))
        return self.dropout(torch.cat([hidden, x], dim=1) if self.direct else hidden)

    def forward(self, contexts: Tensor) -> Tensor:
        """As `query`."""
        return self.query(contexts)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table, where its gradients are sparse."""
        return [self.words.weight] if self.words.sparse else []


CELLS = {"gru": 1, "lstm": 2}
"""The cells by name, and how many vectors the state of each has."""


class Recurrent(nn.Module):
    """Turns words into a query after each of them, which an output layer compares all words with.

        x_t = vector of word t
        h_t, state_t = cell(x_t, state_{t-1})      the query is h_t of the last layer

    Dropout is put on the vectors of words, between layers, and on the queries.

    Args:
        vocab_size: V.
        dim: width of a word's vector.
        hidden: D, width of a layer and of a query.
        cell: "gru" or "lstm".
        layers: how many, one above the other.
        dropout: in training, in [0, 1).
        sparse: whether the table of word vectors gets sparse gradients, for the optimizers of logq.optim.

    Shape:
        words (B, L) int64 and a state (S, layers, B, D) -> queries (B, L, D) and the state after the last word; S is 1
        for GRU, whose state is h, and 2 for LSTM, whose state is h and c. The gradient of a state goes back into what
        it came from, so whoever goes on from it detaches it.

    Attributes:
        words: the table (V, dim).
        out_features: D.

    Raises:
        TypeError, ValueError: an argument, a word or a state is not as described.

    References:
        Mikolov, Karafiat, Burget, Cernocky, Khudanpur, Recurrent neural network based language model, Interspeech 2010.
        Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014, arXiv:1406.1078 (GRU, in the
        form of cuDNN, which torch has too: r multiplies after the product). Hochreiter and Schmidhuber, Long Short-Term
        Memory, Neural Computation 1997 (LSTM, with forget gates: Gers et al. 2000).

    Example:
        >>> import torch
        >>> model = Recurrent(1000, 16, 32)
        >>> queries, state = model(torch.tensor([[5, 7, 999]]), model.first_state(1))
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
        self.vocab_size = check_int("vocab_size", vocab_size)
        if not isinstance(cell, str) or cell not in CELLS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {shown(cell)}")
        self.cell = cell
        self.words = Table(vocab_size, check_int("dim", dim), std=0.1, sparse=sparse)
        make = nn.GRU if cell == "gru" else nn.LSTM
        widths = [dim] + [check_int("hidden", hidden)] * (check_int("layers", layers) - 1)
        self.layers = nn.ModuleList(make(width, hidden) for width in widths)
        self.dropout = ByteDropout(dropout)
        self.out_features = hidden

    def first_state(self, rows: int) -> Tensor:
        """The state (S, layers, B, D) before any word: zeros."""
        return self.words.weight.new_zeros(CELLS[self.cell], len(self.layers), rows, self.out_features)

    def forward(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and the next state of words that follow a state."""
        words = column({"words": words}, "words", self.vocab_size, "BL")
        wanted = (CELLS[self.cell], len(self.layers), len(words), self.out_features)
        if state.shape != wanted:
            raise ValueError(f"state: expected (S, layers, B, D) = {wanted}, got {tuple(state.shape)}")
        # Cells take time first: to swap numbers of words costs nothing beside swapping their vectors.
        x, after = self.dropout(self.words(words.t())), []
        for number, layer in enumerate(self.layers):
            before = state[:, number].unsqueeze(1)
            x, last = layer(x, before[0] if len(before) == 1 else (before[0], before[1]))
            after.append(last[None] if isinstance(last, Tensor) else torch.stack(last))
            x = self.dropout(x)
        return x.transpose(0, 1), torch.cat(after, dim=1)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table, where its gradients are sparse."""
        return [self.words.weight] if self.words.sparse else []
