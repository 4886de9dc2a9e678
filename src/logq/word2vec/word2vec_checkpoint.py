"""A checkpoint: all that a run needs to go on, in one file that is replaced at once.

checkpoint.safetensors      vectors, and what else the engine has learned
                            metadata: where the run is, its settings, and what the text was
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from logq._files import atomic_write, remove_leftovers
from logq._model_file import write_tensors
from logq.text import EncodedCorpus
from logq.word2vec.run import Run, check_finite

__all__ = ["FILE", "Checkpoint"]

FILE = "checkpoint.safetensors"

_FORMAT = "logq.checkpoint 1"
_FREE = {"threads", "device"}
"""Settings that may change between a run and its continuation."""


class Checkpoint:
    """The checkpoint of a run in a folder, which is made if it is missing.

    Args:
        folder: where the file goes.
        minutes: how often `save_if_due` saves.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoint(folder, 10.0).exists()
        False
    """

    def __init__(self, folder: str | os.PathLike[str], minutes: float) -> None:
        self.path = Path(folder) / FILE
        self.minutes = minutes
        self._saved = time.monotonic()

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    def remove(self) -> None:
        """Remove it, if there is one, and what a killed run left of another: the run is over."""
        self.path.unlink(missing_ok=True)
        remove_leftovers(self.path)

    def save_if_due(self, run: Run, settings: Mapping[str, Any], *, force: bool = False) -> None:
        """Save a run if enough time has passed, or in any case.

        Raises:
            FloatingPointError: training has diverged; the file stays as it was.
            OSError: the file cannot be written, and stays as it was.
        """
        if force or time.monotonic() - self._saved >= 60 * self.minutes:
            self.save(run, settings)
            self._saved = time.monotonic()

    def save(self, run: Run, settings: Mapping[str, Any]) -> None:
        """Save a run as it is."""
        check_finite(run.engine, run.lr)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        progress = {
            "epoch": run.epoch,
            "position": run.position,
            "pairs": run.pairs,
            "loss_sum": run.loss_sum,
            "loss_pairs": run.loss_pairs,
            "seed": run.seed,
            "corpus": fingerprint(run.corpus),
        }
        metadata = {"format": _FORMAT, "run": json.dumps(progress), "settings": json.dumps(dict(settings))}
        tensors = {
            "vectors": run.engine.vectors,
            **{f"state.{name}": array for name, array in run.engine.state().items()},
        }
        with atomic_write(self.path) as file:
            write_tensors(file, tensors, metadata)

    def load(self, run: Run, settings: Mapping[str, Any]) -> None:
        """Bring a run to where the checkpoint is.

        Raises:
            ValueError: the file is damaged, or of another text or other settings; the message names what differs.
        """
        name = os.fspath(self.path)
        try:
            with safe_open(name, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise ValueError(f"{name}: expected a checkpoint of this version of logq")
                progress, before = json.loads(metadata["run"]), json.loads(metadata["settings"])
                self._check(before, settings, progress["corpus"], fingerprint(run.corpus))
                vectors = file.get_tensor("vectors")
                state = {key[6:]: file.get_tensor(key) for key in file.keys() if key.startswith("state.")}  # noqa: SIM118
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{name}: the checkpoint is damaged ({error}); remove it to start anew") from None
        if vectors.shape != run.engine.vectors.shape:
            raise ValueError(f"{name}: expected vectors of shape {run.engine.vectors.shape}, got {vectors.shape}")
        if not all(np.isfinite(array).all() for array in (vectors, *state.values())):
            raise ValueError(f"{name}: the checkpoint is damaged (not all of it is finite); remove it to start anew")
        run.engine.load_state(vectors, state)
        run.epoch, run.position, run.seed = progress["epoch"], progress["position"], progress["seed"]
        run.pairs, run.loss_sum, run.loss_pairs = progress["pairs"], progress["loss_sum"], progress["loss_pairs"]

    def _check(self, before: Mapping[str, Any], now: Mapping[str, Any], text: str, text_now: str) -> None:
        for key in sorted((before.keys() | now.keys()) - _FREE):
            if before.get(key) != now.get(key):
                raise ValueError(
                    f"{key}: the checkpoint {self.path} was made with {before.get(key)!r}, got {now.get(key)!r}; "
                    "resume with the same settings, or remove it to start anew"
                )
        if text != text_now:
            raise ValueError(
                f"source: the checkpoint {self.path} belongs to another text; resume with the same one, or remove it "
                "to start anew"
            )


def fingerprint(corpus: EncodedCorpus) -> str:
    """Return what tells a corpus from another: its words, their counts, and how many entries there are.

    Example:
        >>> from logq.text import encode
        >>> with encode([["a", "b"]], min_count=1) as one, encode([["b", "a"]], min_count=1) as other:
        ...     fingerprint(one) == fingerprint(other)
        False
    """
    digest = hashlib.sha256(f"{corpus.num_ids} {corpus.num_sentences}".encode())
    for word in corpus.vocabulary.index_to_key:
        digest.update(word.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(np.ascontiguousarray(corpus.counts).tobytes())
    return digest.hexdigest()
