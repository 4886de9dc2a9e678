"""Word vectors as a model of sentence-transformers: StaticEmbedding, the mean of the vectors of the words of a text."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logq._arguments import ArgumentError, check_bool
from logq._files import atomic_write
from logq._model_file import write_tensors
from logq.text.words import check_utf8_forms
from logq.vectors.vector_arguments import Vectors

__all__ = ["write_static_embedding"]

_MARKS = range(0xE000, 0xE020)
"""Characters of the private area, of which words of a text have none: one of them begins each word in the tokenizer."""

_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
_CONFIG = {
    "model_type": "SentenceTransformer",
    "prompts": {},
    "default_prompt_name": None,
    "similarity_fn_name": "cosine",
}


def write_static_embedding(
    folder: str | os.PathLike[str],
    words: Sequence[str],
    vectors: Vectors,  # (V, D)
    *,
    lowercase: bool = False,
) -> None:
    """Write a folder that `SentenceTransformer(folder)` and `StaticEmbedding.load(folder)` open.

    A text is split at white space, and the vector of a text is the mean of the vectors of its words; words that are
    not known do not count, and a text without a known one has zeros.

    Words that are unknown have to leave nothing, not even a place in the mean. A tokenizer of whole words (WordLevel)
    has a token for them, so this is one of byte pairs (BPE) without a single pair: a word in its vocabulary is taken
    whole, and another falls into characters, which no entry is. No entry is a character, as each begins with a mark.

    Args:
        folder: where `model.safetensors`, `tokenizer.json` and `modules.json` go; made if it is missing.
        words: without white space in them; others cannot be found in a text.
        vectors: of the words.
        lowercase: whether texts are made lowercase first, for words that are.

    Raises:
        ArgumentError: a word has no UTF-8 form.
        OSError: a file cannot be written.
    """
    mark = _mark(words)
    normalizers: list[dict[str, Any]] = [{"type": "Lowercase"}] if check_bool("lowercase", lowercase) else []
    # A text with the mark in it has it twice then, as no entry has.
    normalizers.append({"type": "Replace", "pattern": {"String": mark}, "content": mark * 2})
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": False},
            ],
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {f"{mark}{word}": number for number, word in enumerate(words)},
            "merges": [],
        },
    }
    check_utf8_forms("words", words)
    text = json.dumps(tokenizer, ensure_ascii=False).encode()
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    with atomic_write(home / "model.safetensors") as file:
        write_tensors(file, {"embedding.weight": np.asarray(vectors, dtype=np.float32)}, {"format": "pt"})
    for name, content in (
        ("tokenizer.json", text),
        ("config_sentence_transformers.json", _as_json(_CONFIG)),
        ("modules.json", _as_json(_MODULES)),
    ):
        with atomic_write(home / name) as file:
            file.write(content)


def _mark(words: Sequence[str]) -> str:
    """A character that no word has."""
    used = {character for word in words for character in word if ord(character) in _MARKS}
    free = next((chr(code) for code in _MARKS if chr(code) not in used), None)
    if free is None:
        raise ArgumentError("words", f"words without one of the characters {_MARKS.start:#x} to {_MARKS.stop - 1:#x}")
    return free


def _as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
