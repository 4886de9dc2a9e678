"""Neural language models: fitted on text, they score it, go on with it, and are measured by perplexity."""

import os
from typing import Any

from logq.language_models.neural import NeuralLanguageModel
from logq.language_models.nnlm import NNLM
from logq.language_models.options import LanguageModelOptions
from logq.language_models.recurrent import RecurrentLM
from logq.ngram import LanguageModel

__all__ = ["NNLM", "LanguageModelOptions", "NeuralLanguageModel", "RecurrentLM", "load"]


def load(folder: str | os.PathLike[str], **options: Any) -> LanguageModel:
    """Read a language model of any class that `save` wrote.

    Args:
        folder: where it is.
        **options: for the constructor beside the settings of the file, such as `device` of neural models.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, changed, or of another version; the message says what is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     NNLM(dim=2, hidden=2, epochs=1, num_sampled=2, seed=1).fit([["a", "b"]], progress=False).save(folder)
        ...     load(folder)
        NNLM(dim=2, hidden=2, context=5, sampled_softmax, 4 words)
    """
    return LanguageModel.load(folder, **options)
