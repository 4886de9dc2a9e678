"""The contestants: how each is called, where its vectors come out, and how long its training phase was."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from corpus import Corpus
from measure import Execution, seconds_of_progress
from settings import MIN_COUNT, WINDOW, Settings

HERE = Path(__file__).resolve().parent


class Tool:
    """A program that trains word vectors."""

    name: str
    models: tuple[str, ...] = ("sg", "cbow")
    version = ""

    def command(self, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> list[str]:
        """What to run, in `folder`, where its files go."""
        raise NotImplementedError

    def vectors(self, folder: Path) -> Path:
        """The file or folder its vectors came out in."""
        return folder / "vectors.bin"

    def training_seconds(self, execution: Execution, folder: Path) -> float | None:
        """How long the training phase took, or None if it did not say so."""
        return seconds_of_progress(execution.progress)


class Logq(Tool):
    """Ours, by its command. It writes how long it trained into the summary of the vectors."""

    def __init__(self, name: str = "logq", extra: Iterable[str] = (), *, as_given: bool = False) -> None:
        self.name, self.extra, self.as_given = name, list(extra), as_given
        self.version = version_of(sys.executable, "logq")

    def command(self, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "logq.cli", "train", "word2vec"),
            *(str(corpus.source if self.as_given else corpus.path), "-o", str(folder / "vectors")),
            *("--dim", str(settings.dim), "--threads", str(settings.threads), "--epochs", str(settings.epochs)),
            *("--seed", str(seed), "--lr", settings.lr, "--skip-gram" if settings.model == "sg" else "--cbow"),
            *("--window", str(WINDOW), "--negatives", settings.negatives, "--sample", settings.sample),
            *("--min-count", str(MIN_COUNT), "--quiet", *self.extra),
        ]

    def vectors(self, folder: Path) -> Path:
        return folder / "vectors"

    def training_seconds(self, execution: Execution, folder: Path) -> float | None:
        info = json.loads((folder / "vectors" / "vectors.json").read_text())["info"]
        seconds = info.get("training_seconds")
        return None if seconds is None else float(seconds)


class PythonPeer(Tool):
    """A Python package, called by a script of ours, which prints how long it trained if it can tell."""

    def __init__(self, name: str, package: str, script: str, python: str, *extra: str) -> None:
        self.name, self.script, self.python, self.extra = name, HERE / script, python, extra
        self.version = version_of(python, package)

    def command(self, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> list[str]:
        options = {
            "corpus": str(corpus.path),
            "output": str(self.vectors(folder)),
            "sg": settings.model == "sg",
            "dim": settings.dim,
            "threads": settings.threads,
            "epochs": settings.epochs,
            "lr": float(settings.lr),
            "window": WINDOW,
            "negatives": int(settings.negatives),
            "sample": float(settings.sample),
            "min_count": MIN_COUNT,
            "seed": seed,
        }
        return [self.python, str(self.script), json.dumps(options), *self.extra]

    def training_seconds(self, execution: Execution, folder: Path) -> float | None:
        for line in reversed(execution.output.splitlines()):
            if line.startswith("training_seconds "):
                return float(line.split()[1])
        return seconds_of_progress(execution.progress)


class Word2VecC(Tool):
    """word2vec.c, and programs that took over its options."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path.resolve()

    def command(self, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> list[str]:
        return [
            *(str(self.path), "-train", str(corpus.path), "-output", str(self.vectors(folder)), "-binary", "1"),
            *("-size", str(settings.dim), "-threads", str(settings.threads), "-iter", str(settings.epochs)),
            *("-alpha", settings.lr, "-window", str(WINDOW)),
            *("-negative", settings.negatives, "-sample", settings.sample),
            *("-min-count", str(MIN_COUNT), "-cbow", str(int(settings.model == "cbow")), "-hs", "0", "-debug", "2"),
        ]


class PWord2Vec(Word2VecC):
    """pWord2Vec: word2vec.c's options, skip-gram alone. It reads the text into memory before its training phase."""

    models = ("sg",)


class PSGNScc(PWord2Vec):
    """pSGNScc. Its progress jumps from chunk to chunk, but it writes how long it trained into a file."""

    def training_seconds(self, execution: Execution, folder: Path) -> float | None:
        words = (folder / "pSGNScc_time").read_text().split()
        return float(words[words.index("Elapsed") + 1])


class Maxoodf(Tool):
    """word2vec of maxoodf, whose trainer has its own options."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path.resolve()

    def command(self, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> list[str]:
        return [
            *(str(self.path), "-f", str(corpus.path), "-o", str(self.vectors(folder)), "-v"),
            *("-s", str(settings.dim), "-t", str(settings.threads), "-i", str(settings.epochs)),
            *("-a", settings.lr, "-w", str(WINDOW), "-m", str(MIN_COUNT)),
            *("-n", settings.negatives, "-l", settings.sample),
            *(["-g"] if settings.model == "sg" else []),
        ]


class Binary(NamedTuple):
    """A baseline that has to be compiled: the option that says where it is."""

    name: str
    option: str
    tool: type[Word2VecC] | type[Maxoodf]


BINARIES = (
    Binary("word2vec.c", "word2vec-c", Word2VecC),
    Binary("pWord2Vec", "pword2vec", PWord2Vec),
    Binary("pSGNScc", "psgnscc", PSGNScc),
    Binary("maxoodf/word2vec", "maxoodf", Maxoodf),
)


def version_of(python: str, package: str) -> str:
    """The version of a package that this interpreter has, or an empty string."""
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", program], capture_output=True, text=True).stdout.strip()


def imports(python: str, module: str) -> bool:
    """Whether an interpreter has a module."""
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0
