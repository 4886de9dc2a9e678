"""SkipGram and CBOW: modules that predict a word from a nearby word, or from the words around it.

The input vectors are here; the output vectors are the class weights of a loss in logq.nn.

References:
    Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013, arXiv:1301.3781.
    Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from logq._arguments import check_int
from logq.tracing import keeps_sizes
from logq.vectors.word_parts import WordParts

__all__ = ["CBOW", "SkipGram", "WordVectors"]


class WordVectors(nn.Module):
    """Vectors of words, each a row, or the mean of several rows with subwords.

    As in fastText each of the rows gets the whole gradient of the mean.

    Args:
        num_words: V.
        dim: D. Vectors start uniform in +-0.5/D, as word2vec.c does.
        generator: of the first vectors; None takes torch's global one, as torch modules do.
        parts: the rows that each word consists of.

    Attributes:
        vectors: (V, D), or (V + R, D) with `parts`.

    Example:
        >>> WordVectors(10, 4).of_words(torch.tensor([3, 3])).shape
        torch.Size([2, 4])
    """

    part_offsets: Tensor
    parts: Tensor

    def __init__(
        self,
        num_words: int,
        dim: int,
        *,
        generator: torch.Generator | None = None,
        parts: WordParts | None = None,
    ) -> None:
        super().__init__()
        self.vectors = _first_vectors(num_words if parts is None else parts.num_rows, dim, generator)
        self.has_parts = parts is not None
        if parts is not None:
            self.register_buffer("part_offsets", torch.from_numpy(parts.offsets), persistent=False)
            self.register_buffer("parts", torch.from_numpy(parts.rows).long(), persistent=False)

    def of_words(self, words: Tensor) -> Tensor:
        """The vectors of words (n,), as (n, D), with sparse gradients."""
        if not self.has_parts:
            return embedding(words, self.vectors, sparse=True)
        begins, ends = self.part_offsets[words], self.part_offsets[words + 1]
        counts = ends - begins
        of_word = torch.arange(len(words), device=words.device).repeat_interleave(counts)
        places = torch.arange(len(of_word), device=words.device) + (ends - counts.cumsum(0))[of_word]
        rows = embedding(self.parts[places], self.vectors, sparse=True)
        total = rows.new_zeros(len(words), rows.shape[1]).index_add(0, of_word, rows)
        return _WholeGradient.apply(total, counts[:, None])


class SkipGram(WordVectors):
    """The query is the vector of one word.

        query(x) = v_x

    As in word2vec.c the input is a word of the context and the target the word in the middle of the window; over a
    corpus that is the same as the other way round.

    Args:
        num_words: V.
        dim: D. Vectors start uniform in +-0.5/D, as word2vec.c does.
        generator: of the first vectors; None takes torch's global one, as torch modules do.
        parts: the rows that each word consists of, with subwords.

    Example:
        >>> SkipGram(10, 4).query(torch.tensor([3, 3, 9])).shape
        torch.Size([3, 4])
    """

    def query(self, inputs: Tensor) -> Tensor:
        """Query vectors of a batch, with sparse gradients for `vectors`.

        Args:
            inputs: (B,) int64.

        Returns:
            (B, D).
        """
        return self.of_words(inputs)


class CBOW(WordVectors):
    """The query is the mean, or the sum, of the vectors of the words around it.

        query(x_1 .. x_n) = sum_j v_{x_j} / n        or without / n

    As in word2vec.c each of the n vectors gets the whole gradient of the query, for the mean as well, whose true
    gradient is 1/n of it.

    Args:
        num_words: V.
        dim: D.
        mean: whether to take the mean, or the sum.
        generator: of the first vectors.
        parts: the rows that each word consists of, with subwords.

    Example:
        >>> CBOW(10, 4).query(torch.tensor([[3, 5, -1], [1, -1, -1]])).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        num_words: int,
        dim: int,
        *,
        mean: bool = True,
        generator: torch.Generator | None = None,
        parts: WordParts | None = None,
    ) -> None:
        super().__init__(num_words, dim, generator=generator, parts=parts)
        self.mean = mean

    def query(self, contexts: Tensor) -> Tensor:
        """Query vectors of a batch, with sparse gradients for `vectors`.

        Args:
            contexts: (B, W) int64, -1 where a window has no word.

        Returns:
            (B, D).
        """
        is_word = contexts >= 0
        if keeps_sizes(contexts) and not self.has_parts:
            words = embedding(contexts.clamp(min=0), self.vectors, sparse=True)
            query = words.where(is_word[..., None], 0.0).sum(dim=1)
        else:
            # Only words are looked up, so that padding leaves no row in a sparse gradient.
            rows = is_word.nonzero()[:, 0]
            words = self.of_words(contexts[is_word])
            query = words.new_zeros(len(contexts), words.shape[1]).index_add(0, rows, words)
        if self.mean:
            counts = is_word.sum(dim=1, keepdim=True).clamp(min=1)
            query = _WholeGradient.apply(query, counts)
        return query


class _WholeGradient(torch.autograd.Function):
    """Divides, and passes the gradient on undivided."""

    @staticmethod
    def forward(ctx: object, value: Tensor, counts: Tensor) -> Tensor:
        return value / counts

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def _first_vectors(num_words: int, dim: int, generator: torch.Generator | None) -> nn.Parameter:
    num_words, dim = check_int("num_words", num_words), check_int("dim", dim)
    device = None if generator is None else generator.device
    return nn.Parameter((torch.rand(num_words, dim, generator=generator, device=device) - 0.5) / dim)
