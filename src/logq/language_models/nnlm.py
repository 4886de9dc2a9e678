"""NNLM: the neural probabilistic language model of Bengio et al., from a text to probabilities of words."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Unpack

from logq._arguments import check_bool, check_int
from logq.language_models.lm_options import LanguageModelOptions
from logq.language_models.neural_language_model import NeuralLanguageModel
from logq.language_models.output_layers import OutputLayer
from logq.language_models.text_encoders import NNLMEncoder
from logq.language_models.text_tasks import PlacesTask, contexts_of, read_with_context
from logq.text.tokens import Tokens
from logq.training.devices import Device

__all__ = ["NNLM"]

PLACES = 4096
"""Words whose queries are made at a time."""


class NNLM(NeuralLanguageModel):
    """A word from the vectors of the few words before it in its line, by one hidden layer; see NNLMEncoder.

        x = vectors of the context;   y = b + W x + U tanh(d + H x);   P(w | context) from y by the objective

    Where a line has fewer words before the predicted one, </s> stands for the others, so that a text is as probable as
    its lines: log P of it is the sum of `score` over them.

    Args:
        dim: width of a word's vector.
        hidden: width of the tanh layer.
        context: n - 1, how many words are looked at; 4 makes the model a 5-gram.
        direct: whether W is there.
        **options: see NeuralLanguageModel; `batch_size` (256 unless given) is the words of a batch.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Bengio, Ducharme, Vincent, Jauvin, A Neural Probabilistic Language Model, JMLR 2003.

    Example:
        >>> text = [["roses", "are", "red"]] * 50
        >>> model = NNLM(dim=8, hidden=16, context=2, objective="full_softmax", epochs=5, lr=0.05, dropout=0.0, seed=1)
        >>> model = model.fit(text, progress=False)
        >>> model.generate("roses", temperature=0)
        'roses are red'
    """

    def __init__(
        self,
        dim: int = 100,
        hidden: int = 200,
        context: int = 5,
        *,
        direct: bool = True,
        **options: Unpack[LanguageModelOptions],
    ) -> None:
        options.setdefault("batch_size", 256)
        super().__init__(**options)
        self.dim = check_int("dim", dim)
        self.hidden = check_int("hidden", hidden)
        self.context = check_int("context", context)
        self.direct = check_bool("direct", direct)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("dim", "hidden", "context", "direct")
        return {**{name: getattr(self, name) for name in names}, **self.option_settings()}

    def _described(self) -> str:
        return f"dim={self.dim}, hidden={self.hidden}, context={self.context}"

    def _make_model(self, vocab_size: int, *, sparse: bool) -> NNLMEncoder:
        return NNLMEncoder(
            vocab_size,
            self.dim,
            self.context,
            self.hidden,
            direct=self.direct,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> PlacesTask:
        assert isinstance(self.model, NNLMEncoder)
        return PlacesTask(self.model, output, tokens, self.batch_size, seed, device)

    def _blocks(self, tokens: Tokens, device: Device) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        for start in range(0, len(tokens), PLACES):
            before, words = read_with_context(tokens, start, min(start + PLACES, len(tokens)), self.context)
            yield words, self._queries(before, words, device)

    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        before = np.full(self.context, self._end, dtype=np.int32)
        words = np.array([*ids, self._end], dtype=np.int32)
        return self._queries(before, words, device)

    def _queries(self, before: NDArray[np.int32], words: NDArray[np.int32], device: Device) -> Tensor:
        assert isinstance(self.model, NNLMEncoder)
        contexts = contexts_of(before, words, self.context, self._end).astype(np.int64)
        with device.autocast():
            return self.model.query(torch.from_numpy(contexts).to(device.torch_device))
