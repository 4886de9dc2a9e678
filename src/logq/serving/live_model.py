"""LiveModel: the model that answers now, and the thread that replaces it when its folder is."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from logq.folders.folder_contents import FolderError
from logq.serving.batching import Question
from logq.serving.model_answers import ModelAnswers
from logq.serving.open_models import open_answers

__all__ = ["LiveModel", "identity_of"]

log = logging.getLogger("logq.serving")

Identity: TypeAlias = tuple[tuple[str, int, int, int], ...]

_DEPTH = 2  # folders below that of a model: its log, and an index within it
_PASSING = ("checkpoint.", ".")  # how names begin that a training writes while it runs


def identity_of(places: Sequence[Path]) -> Identity:
    """What changes when a file of a model is replaced: names, inodes, sizes and times; () where nothing is.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = identity_of([Path(folder)])
        ...     _ = Path(folder, "model.json").write_text("{}")
        ...     before, identity_of([Path(folder)]) == before
        ((), False)
    """
    found: list[tuple[str, int, int, int]] = []
    for place in places:
        _look(place, found, _DEPTH)
    return tuple(sorted(found))


def _look(place: Path, found: list[tuple[str, int, int, int]], depth: int) -> None:
    try:
        if not place.is_dir():
            status = place.stat()
            found.append((str(place), status.st_ino, status.st_size, status.st_mtime_ns))
            return
        for entry in os.scandir(place):
            if not entry.name.startswith(_PASSING) and (depth or entry.is_file()):
                _look(Path(entry.path), found, depth - 1)
    except OSError:  # it is being replaced: the next look sees what came of it
        return


class LiveModel:
    """A model that answers, and is replaced by what its folder holds when that changes.

    The new model is loaded wholly, and asked its examples, while the old one answers; then it takes its place between
    two batches. Where that fails the old one stays, until the folder changes again.

    Args:
        answers: a model in memory, which is never replaced; or None.
        places: else the folder, followed by those of its indexes.
        device: of neural models.
        seconds: between two looks at the folder; 0 never looks again.
        report: called with "ok" or "failed" after each attempt to replace the model.

    Raises:
        OSError, ValueError: nothing can be served.

    Example:
        >>> from logq import KeyedVectors
        >>> from logq.serving.open_models import answers_of
        >>> live = LiveModel(answers_of(KeyedVectors(["tea"], [[1.0]])))
        >>> live.about()["status"], live.about()["reloads"]
        ('ok', 0)
    """

    def __init__(
        self,
        answers: ModelAnswers | None = None,
        places: Sequence[Path] = (),
        *,
        device: str = "cpu",
        seconds: float = 1.0,
        report: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._places, self._device, self._seconds, self._report = list(places), device, seconds, report
        self._seen = identity_of(self._places)
        self._answers = answers or open_answers(self._places[0], self._places[1:], device=device)
        self.examples = self._answers.rehearse()
        """Answers to its examples, by path, when it was first loaded."""
        self.loaded = time.time()
        self._reloads, self._failure = 0, ""
        self._ends = threading.Event()
        if self._places and seconds:
            threading.Thread(target=self._watch, name="logq reload", daemon=True).start()

    @property
    def family(self) -> str:
        """Of the model."""
        return self._answers.family

    @property
    def questions(self) -> dict[str, dict[str, Any]]:
        """A question for each path that can be asked."""
        return self._answers.examples()

    def answer(self, questions: Sequence[Question]) -> list[dict[str, Any] | Exception]:
        """Answers of one and the same model."""
        return self._answers.answer(questions)

    def about(self) -> dict[str, Any]:
        """What /health says."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.loaded))
        told = {"family": self.family, **self._answers.about, "loaded": when, "reloads": self._reloads}
        failure = self._failure
        return {"status": "stale", **told, "failure": failure} if failure else {"status": "ok", **told}

    def close(self) -> None:
        """Stop looking at the folder."""
        self._ends.set()

    def _watch(self) -> None:
        before = self._seen
        while not self._ends.wait(self._seconds):
            now = identity_of(self._places)
            # Files of a model are replaced one after the other: it is looked at when two looks see the same.
            if now != self._seen and now == before:
                self._replace(now)
            before = now

    def _replace(self, now: Identity) -> None:
        try:
            new = open_answers(self._places[0], self._places[1:], device=self._device)
            if new.family != self.family:
                raise FolderError(f"expected {self.family}, as before, found {new.family}")
            new.rehearse()
        except Exception as error:
            if identity_of(self._places) != now:
                return  # it was still being written
            self._seen = now
            self._failure = self._without_places(f"{type(error).__name__}: {error}")
            log.warning("the new model cannot be loaded, the old one stays: %s", error)
            self._report("failed")
            return
        if identity_of(self._places) != now:
            return
        self._seen, self._answers, self._failure = now, new, ""
        self.loaded, self._reloads = time.time(), self._reloads + 1
        log.info("the model was replaced by what its folder holds now: %s", new.about)
        self._report("ok")

    def _without_places(self, text: str) -> str:
        """A message for whoever asks /health, to whom folders of this machine are nothing."""
        for place in self._places:
            text = text.replace(str(place), place.name)
        return text
