"""NNLM: the neural probabilistic language model, a word from the vectors of the few words before it."""

import torch
from torch import Tensor, nn

from logq.arguments import check_bool, check_int
from logq.models.byte_dropout import ByteDropout
from logq.models.tables import Table, column

__all__ = ["NNLM"]


class NNLM(nn.Module):
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
        >>> model = NNLM(1000, 16, 3, 32)
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
