"""RecurrentLM: a GRU or an LSTM that reads a text and says what comes next."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Unpack

from logq._arguments import check_bool, check_int, shown
from logq.language_models.lm_options import LanguageModelOptions
from logq.language_models.neural_language_model import NeuralLanguageModel
from logq.language_models.output_layers import OutputLayer
from logq.language_models.text_encoders import CELLS, Recurrent
from logq.language_models.text_tasks import ColumnsTask
from logq.text.tokens import Tokens
from logq.training.devices import Device

__all__ = ["RecurrentLM"]

WORDS = 2048
"""Words that are read at a time where a text is measured."""


class RecurrentLM(NeuralLanguageModel):
    """Reads a text word by word and keeps what it has read in a state; see Recurrent.

    Training reads the text in `batch_size` columns side by side, `bptt` words at a time, and hands the state on from
    one batch to the next; its gradient stays within a batch. `evaluate` reads a text from its first word to its last in
    one stream, state and all. `score`, `next_words` and `generate` begin a line with an empty state, after </s>.

    Args:
        cell: "gru" or "lstm".
        dim: width of a word's vector.
        hidden: width of the state and of the queries.
        layers: how many cells stand one above the other.
        tied: whether inputs and outputs share one table of vectors, for which dim must be hidden.
        bptt: how many words back a gradient goes, at most.
        **options: see NeuralLanguageModel.

    Raises:
        TypeError, ValueError: an argument is not as described.

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

    def __init__(
        self,
        cell: str = "gru",
        dim: int = 200,
        hidden: int = 200,
        layers: int = 1,
        *,
        tied: bool = False,
        bptt: int = 20,
        **options: Unpack[LanguageModelOptions],
    ) -> None:
        super().__init__(**options)
        if not isinstance(cell, str) or cell not in CELLS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {shown(cell)}")
        self.cell = cell
        self.dim = check_int("dim", dim)
        self.hidden = check_int("hidden", hidden)
        self.layers = check_int("layers", layers)
        self.tied = check_bool("tied", tied)
        if tied and dim != hidden:
            raise ValueError(f"tied: expected dim = hidden, as one table serves both, got {dim} and {hidden}")
        if tied and self.objective in ("hierarchical_softmax", "adaptive_softmax"):
            raise ValueError(f"tied: {self.objective} has no table of words that inputs could share, expected False")
        self.bptt = check_int("bptt", bptt)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("cell", "dim", "hidden", "layers", "tied", "bptt")
        return {**{name: getattr(self, name) for name in names}, **self.option_settings()}

    def _described(self) -> str:
        return f"{self.cell}, dim={self.dim}, hidden={self.hidden}, layers={self.layers}"

    def _make_model(self, vocab_size: int, *, sparse: bool) -> Recurrent:
        return Recurrent(
            vocab_size,
            self.dim,
            self.hidden,
            cell=self.cell,
            layers=self.layers,
            dropout=self.dropout,
            sparse=sparse,
        )

    def _shared_weight(self) -> nn.Parameter | None:
        return self.model.words.weight if self.tied else None

    def _make_task(self, output: OutputLayer, tokens: Tokens, seed: int, device: Device) -> ColumnsTask:
        assert isinstance(self.model, Recurrent)
        return ColumnsTask(self.model, output, tokens, self.batch_size, self.bptt, device)

    def _blocks(self, tokens: Tokens, device: Device) -> Iterator[tuple[NDArray[np.int32], Tensor]]:
        assert isinstance(self.model, Recurrent)
        state, last = self.model.first_state(1), np.array([tokens.end], dtype=np.int32)
        for words in tokens.blocks(WORDS):
            queries, state = self._read(np.concatenate([last, words[:-1]]), state, device)
            last = words[-1:]
            yield words, queries

    def _line_queries(self, ids: Sequence[int], device: Device) -> Tensor:
        assert isinstance(self.model, Recurrent)
        words = np.array([self._end, *ids], dtype=np.int32)
        return self._read(words, self.model.first_state(1), device)[0]

    def _read(self, words: NDArray[np.int32], state: Tensor, device: Device) -> tuple[Tensor, Tensor]:
        assert isinstance(self.model, Recurrent)
        with device.autocast():
            row = torch.from_numpy(words.astype(np.int64))[None].to(device.torch_device)
            queries, after = self.model(row, state)
        return queries[0], after.to(state.dtype)
