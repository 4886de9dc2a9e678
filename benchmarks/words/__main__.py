"""Word2vec by logq and by every baseline there is, in turn, on one corpus: speed, memory and quality side by side.

    python benchmarks/words corpus.txt.gz
    python benchmarks/words corpus.txt.gz --dims 100 --threads 1 --models sg --repeat 1 --only logq gensim
    python benchmarks/words corpus.txt.gz --word2vec-c ../word2vec/word2vec --similarity ws353.tsv -o results.md

Each run is a process of its own. All tools are called in turn, then again, so that a slow minute of the machine hits
all; the table has medians. benchmarks/README.md says how to build the baselines, and what is measured.
"""

import argparse
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from corpus import Corpus, prepare
from measure import execute
from settings import Settings
from table import Run, markdown
from tools import BINARIES, HERE, Logq, PythonPeer, Tool, imports

sys.path.append(str(HERE.parent))
from machine import description, load

FASTTEXT, GENSIM = "fasttext", "gensim"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/words", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="text, plain or .gz: words between spaces")
    parser.add_argument("--dims", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", choices=["sg", "cbow"], default=["sg", "cbow"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--sample", metavar="X", default="1e-3", help="threshold for thinning out frequent words")
    parser.add_argument("--negatives", metavar="N", default="5", help="of each pair")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each tool (default: one a seed)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="taken in turn (default: 1 to the number of runs, or to 3)"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="tools whose names begin like one of these"
    )
    parser.add_argument(
        "--variant", action="append", default=[], metavar="OPTIONS", help="logq once more, with options"
    )
    for binary in BINARIES:
        parser.add_argument(f"--{binary.option}", type=Path, metavar="PATH", help=f"the program {binary.name}")
    for name in (GENSIM, FASTTEXT):
        parser.add_argument(
            f"--{name}-python", metavar="PATH", default=sys.executable, help=f"a Python that has {name}"
        )
    parser.add_argument("--similarity", type=Path, nargs="+", default=[], metavar="FILE", help="pairs rated by people")
    parser.add_argument("--analogies", type=Path, metavar="FILE", help="questions of four words per line")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where to keep corpus and vectors during the run")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the tables there, as markdown")
    arguments = parser.parse_args()
    if arguments.repeat is None:
        arguments.repeat = len(arguments.seeds or [1, 2, 3])
    arguments.seeds = arguments.seeds or list(range(1, arguments.repeat + 1))
    for path in [arguments.corpus, *arguments.similarity, *([arguments.analogies] if arguments.analogies else [])]:
        if not path.is_file():
            parser.error(f"{path}: no such file")
    return arguments


def contestants(arguments: argparse.Namespace) -> list[Tool]:
    """What is installed and asked for; what is not installed is said."""
    tools: list[Tool] = [Logq()]
    tools += [Logq(f"logq {options}", shlex.split(options)) for options in arguments.variant]
    if arguments.corpus.suffix == ".gz":
        tools.append(Logq("logq from .gz", as_given=True))
    missing = []
    if imports(arguments.gensim_python, GENSIM):
        for mode in ("corpus_file", "LineSentence"):
            tools.append(PythonPeer(f"gensim {mode}", "gensim", "train_gensim.py", arguments.gensim_python, mode))
    else:
        missing.append("gensim (pip install gensim)")
    if imports(arguments.fasttext_python, FASTTEXT):
        tools.append(PythonPeer("fastText", "fasttext-wheel", "train_fasttext.py", arguments.fasttext_python))
    else:
        missing.append("fastText (pip install fasttext-wheel)")
    for binary in BINARIES:
        path = getattr(arguments, binary.option.replace("-", "_"))
        if path is None:
            missing.append(f"{binary.name} (--{binary.option} PATH)")
        elif not os.access(path, os.X_OK):
            raise SystemExit(f"--{binary.option}: {path} is no program")
        else:
            tools.append(binary.tool(binary.name, path))
    if missing:
        print("Not here: " + ", ".join(missing) + "; benchmarks/README.md says how to get them.")
    begins = tuple(name.lower() for name in arguments.only)
    chosen = [tool for tool in tools if not begins or tool.name.lower().startswith(begins)]
    if not chosen:
        raise SystemExit(f"--only: expected names among {[tool.name for tool in tools]}, got {arguments.only}")
    return chosen


def run(tool: Tool, corpus: Corpus, settings: Settings, seed: int, folder: Path) -> Run | str:
    """Train once; a tool that fails gives its last words instead."""
    folder.mkdir(parents=True)
    environment = {
        "OMP_NUM_THREADS": str(settings.threads),
        "MKL_NUM_THREADS": "1",  # pWord2Vec and pSGNScc call MKL from threads of their own
        "OPENBLAS_NUM_THREADS": "1",
    }
    if "PYTHONPATH" in os.environ:  # the run is in another folder
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    done = execute(tool.command(corpus, settings, seed, folder), folder, environment)
    if done.status or not tool.vectors(folder).exists():
        return f"status {done.status}: {done.output.strip()[-500:]}"
    return Run(
        tool.name,
        seed,
        words=corpus.words * settings.epochs,
        training_seconds=tool.training_seconds(done, folder),
        total_seconds=done.seconds,
        cpu_seconds=done.cpu_seconds,
        peak_bytes=done.peak_bytes,
    )


def score(runs: Sequence[tuple[Run, Path]], arguments: argparse.Namespace) -> str:
    """Fill in the quality of every run, in the vocabulary that all share; returns a line about that."""
    if not runs or not (arguments.similarity or arguments.analogies):
        return ""
    request = {
        "vectors": [str(path) for _, path in runs],
        "similarity": [str(path.resolve()) for path in arguments.similarity],
        "analogies": str(arguments.analogies.resolve()) if arguments.analogies else "",
    }
    command = [sys.executable, str(HERE / "quality.py"), json.dumps(request)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for (one, _), scores in zip(runs, answer["scores"], strict=True):
        one.scores = {name: 100 * value for name, (value, _) in scores.items()}
    used = ", ".join(f"{name} {count:,}" for name, (_, count) in answer["scores"][0].items())
    return f"Quality in per cent, in the {answer['words']:,} words that all have; pairs and questions used: {used}.\n"


def main() -> None:
    arguments = parse()
    tools = contestants(arguments)
    seeds = [arguments.seeds[i % len(arguments.seeds)] for i in range(arguments.repeat)]
    report = description("benchmarks/words", {tool.name: tool.version for tool in tools})
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="words-") as name:
        scratch = Path(name)
        corpus = prepare(arguments.corpus.resolve(), scratch)
        report += f"\nCorpus: {corpus.source.name}, {corpus.words:,} words. Medians of {arguments.repeat} runs.\n"
        print(report)
        for choice in itertools.product(arguments.models, arguments.dims, arguments.threads):
            settings = Settings(*choice, arguments.epochs, arguments.sample, arguments.negatives)
            runs: list[tuple[Run, Path]] = []
            failed: dict[str, str] = {}
            for turn, seed in enumerate(seeds):
                for tool in (tool for tool in tools if settings.model in tool.models and tool.name not in failed):
                    folder = scratch / "runs" / f"{turn}-{tools.index(tool)}"
                    result = run(tool, corpus, settings, seed, folder)
                    if isinstance(result, str):
                        failed[tool.name] = result
                        print(f"  {settings}, seed {seed}: {tool.name} failed, {result}", flush=True)
                        continue
                    runs.append((result, tool.vectors(folder)))
                    print(
                        f"  {settings}, seed {seed}: {tool.name} {result.rate:,.0f} thousand words/s, "
                        f"{result.total_seconds:.1f} s in all; load {load()}",
                        flush=True,
                    )
            about = score(runs, arguments)
            table = markdown(settings, [result for result, _ in runs], "logq") if runs else f"### {settings}\n"
            table += "".join(f"\n{tool} failed.\n" for tool in failed) + (f"\n{about}" if about else "")
            print(f"\n{table}", flush=True)
            report += f"\n{table}"
            if arguments.output:
                arguments.output.write_text(report)
            shutil.rmtree(scratch / "runs", ignore_errors=True)


if __name__ == "__main__":
    main()
