"""What a GPU does: first whether every public path is right there, then how long it takes, the most telling first.

    make gpu                                  in an environment of its own; works on a machine without a network
    python benchmarks/gpu.py --seconds 420    stops by its own clock, and leaves a table of what it had
    python benchmarks/gpu.py --dry            tiny sizes on the CPU, by Triton's interpreter: whether this script runs

Each time is the median of several runs by events of the device; the spread is from the smallest to the largest. A floor
is what the bytes or the operations take by the data sheet of an H100. What is compared runs in turn, on one card.
"""

import argparse
import contextlib
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

DRY = "--dry" in sys.argv
if DRY:
    os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
from machine import description
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding

from logq import functional, kernels, optim
from logq.candidates import Candidates
from logq.functional import full_softmax_loss, sampled_loss
from logq.kernels.distributions import LogUniformDistribution
from logq.objectives import OBJECTIVES
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Sampler, Uniform, Unigram

BYTES_PER_SECOND = 3.0e12
OPERATIONS = {torch.bfloat16: 990e12, "TF32": 495e12, torch.float32: 67e12}
RESULTS = Path(__file__).resolve().parent / "results"


class Clock:
    """What is left of the time that the whole may take."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; negative when they are over."""
        return self.end - time.monotonic()


class Row(NamedTuple):
    """A line of the table: what was measured, medians in milliseconds, and the floor."""

    what: str
    median: float
    spread: tuple[float, float]
    floor: float | None
    note: str


class Report:
    """The table, written anew after each line, so that it is there whenever the run ends."""

    def __init__(self, path: Path, head: str) -> None:
        self.path, self.head = path, head
        self.checks: list[str] = []
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def add(self, line: Row | str, *, check: bool = False) -> None:
        """Add a line of the table, the result of a check, or a note."""
        if isinstance(line, Row):
            self.rows.append(line)
            print(f"{line.what}: {line.median:.3f} ms {line.note}", flush=True)
        else:
            (self.checks if check else self.notes).append(line)
            print(line, flush=True)
        self.write()

    def write(self) -> None:
        """Put everything into the file, whole or not at all."""
        lines = [self.head, "## Right?", "", *[f"- {check}" for check in self.checks], "", "## Fast?", ""]
        lines += ["| what | ms | smallest .. largest | floor, ms | |", "|---|---|---|---|---|"]
        for row in self.rows:
            floor = "" if row.floor is None else f"{row.floor:.3f}"
            spread = f"{row.spread[0]:.3f} .. {row.spread[1]:.3f}"
            lines.append(f"| {row.what} | {row.median:.3f} | {spread} | {floor} | {row.note} |")
        lines += ["", *[f"- {note}" for note in self.notes], ""]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            file.write("\n".join(lines))
        Path(file.name).replace(self.path)


class Bench:
    """The device, and how things are timed on it."""

    def __init__(self, report: Report, clock: Clock) -> None:
        self.report, self.clock = report, clock
        self.device = torch.device("cpu" if DRY else "cuda")

    def size(self, full: int, dry: int) -> int:
        """A size, or the one of a dry run."""
        return dry if DRY else full

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, what: str, run: Callable[[], object], *, floor: float | None = None, note: str = "") -> float:
        """Time a function, add a line, and return the median in milliseconds."""
        for _ in range(1 if DRY else 3):
            run()
        self.wait()
        before = 0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        times: list[float] = []
        began = time.monotonic()
        while len(times) < (2 if DRY else 30) and (len(times) < 5 or time.monotonic() - began < 5):
            if self.device.type == "cuda":
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                run()
                end.record()
                torch.cuda.synchronize()
                times.append(start.elapsed_time(end))
            else:
                start_time = time.perf_counter()
                run()
                times.append(1000 * (time.perf_counter() - start_time))
            if DRY and len(times) == 2:
                break
        if self.device.type == "cuda":
            beyond = (torch.cuda.max_memory_allocated() - before) / 1e6
            note = ", ".join(part for part in (note, f"{beyond:,.1f} MB beyond what lies there") if part)
        median = statistics.median(times)
        self.report.add(Row(what, median, (min(times), max(times)), floor and 1000 * floor, note))
        return median


@contextlib.contextmanager
def section(bench: Bench, name: str, seconds: float) -> Iterator[bool]:
    """A part of the run: left out if time is short, and no part stops the others."""
    runs = DRY or bench.clock.left() > seconds
    if not runs:
        bench.report.add(f"{name}: left out, {bench.clock.left():.0f} s were left and it takes about {seconds:.0f}")
    try:
        yield runs
    except Exception as error:  # what fails is a result too
        bench.report.add(f"{name}: FAILED, {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    if bench.device.type == "cuda":
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()


# -------------------------------------------------------------------------------------------------------------- right?


def check_losses(bench: Bench) -> None:
    """Losses and gradients beside float64 on the CPU."""
    worst, cases = 0.0, 0
    batch, classes, dim = bench.size(252, 5), bench.size(507, 40), bench.size(123, 6)
    for name in ("sampled_softmax", "nce", "sampled_logistic", "negative_sampling", "gbce"):
        for per_row in (False, True):
            for dtype in (torch.float32, torch.bfloat16):
                for options in ({}, {"cosine": True, "temperature": 0.1}, {"sparse": True}, {"reduction": "none"}):
                    torch.manual_seed(cases)
                    weight, inputs, bias = torch.randn(classes, dim), torch.randn(batch, dim), torch.randn(classes)
                    targets = torch.randint(classes, (batch,)).masked_fill(torch.rand(batch) < 0.1, -100)
                    drawn = LogUniform(classes, 31, per_row=per_row, seed=1).draw(targets)
                    found: list[list[Tensor]] = []
                    for place, real in ((bench.device, dtype), (torch.device("cpu"), torch.float64)):
                        parts = (weight.to(dtype), inputs.to(dtype), bias)
                        w, x, b = (part.detach().to(place, real).requires_grad_() for part in parts)
                        candidates = Candidates(*(None if one is None else one.to(place) for one in drawn))
                        with kernels.use(BACKEND if place == bench.device else "reference"):
                            loss = sampled_loss(OBJECTIVES[name], x, w, candidates, bias=b, **options)
                            loss.sum().backward()
                        made = [loss.detach(), *[part.grad.to_dense() for part in (w, x, b) if part.grad is not None]]
                        found.append([part.double().cpu() for part in made])
                    for mine, exact in zip(*found, strict=True):
                        error = float((mine - exact).norm() / exact.norm().clamp(min=1e-30))
                        worst = max(worst, error if dtype == torch.float32 else error / 1000)
                    cases += 1
                    if DRY and cases > 4:
                        break
    verdict = "right" if worst < 2e-5 else "WRONG"
    bench.report.add(
        f"{verdict}: {cases} sampled losses and their gradients, worst relative error {worst:.1e} (bfloat16 counts a "
        "thousandth)",
        check=True,
    )


def check_full(bench: Bench) -> None:
    """Losses over all classes and their gradients beside float64 on the CPU."""
    worst: dict[str, float] = {}
    batch, classes, dim = bench.size(252, 5), bench.size(5077, 40), bench.size(123, 6)
    for precision, dtype, most in PRECISIONS:
        for name in ("full_softmax", "full_logistic"):
            weight, inputs, bias = torch.randn(classes, dim), torch.randn(batch, dim), torch.randn(classes)
            targets = torch.randint(classes, (batch,)).masked_fill(torch.rand(batch) < 0.1, -100)
            found: list[list[Tensor]] = []
            for place, real in ((bench.device, dtype), (torch.device("cpu"), torch.float64)):
                parts = [part.to(dtype).to(place, real).detach().requires_grad_() for part in (inputs, weight, bias)]
                with kernels.use(BACKEND if place == bench.device else "reference"), at_precision(precision):
                    loss = getattr(functional, f"{name}_loss")(*parts[:2], targets.to(place), bias=parts[2])
                    loss.backward()
                made = [loss.detach(), *[part.grad for part in parts if part.grad is not None]]
                found.append([part.double().cpu() for part in made])
            errors = [float((mine - exact).norm() / exact.norm()) for mine, exact in zip(*found, strict=True)]
            worst[f"{dtype_name(dtype)} at {precision!r}"] = max(errors) / most
    verdict = "right" if max(worst.values()) < 1 else "WRONG"
    shares = ", ".join(f"{name} {share:.2f}" for name, share in worst.items())
    bench.report.add(f"{verdict}: losses over all classes, errors as a share of what is allowed: {shares}", check=True)


PRECISIONS = (
    ("highest", torch.float32, 2e-5),
    ("high", torch.float32, 5e-3),
    ("highest", torch.bfloat16, 1e-2),
    ("medium", torch.bfloat16, 1e-2),
    ("highest", torch.float16, 2e-3),
)
"""What torch is set to, what is stored, and the relative error that is allowed for."""


@contextlib.contextmanager
def at_precision(precision: str) -> Iterator[None]:
    """Products of float32 as torch.set_float32_matmul_precision has them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def dtype_name(dtype: torch.dtype) -> str:
    """As in "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def check_bits(bench: Bench) -> None:
    """A step twice: the same bits."""
    batch, classes, dim = bench.size(4096, 8), bench.size(50_000, 40), bench.size(100, 6)
    differ: list[str] = []
    for dtype in (torch.float32, torch.bfloat16):
        for per_row in (False, True):
            targets = torch.randint(min(classes, 50), (batch,), device=bench.device)  # long runs of one class
            drawn = LogUniform(classes, bench.size(512, 7), per_row=per_row, seed=1, device=bench.device).draw(targets)
            start = torch.randn(classes, dim, device=bench.device, dtype=dtype)
            inputs = torch.randn(batch, dim, device=bench.device, dtype=dtype)
            made: list[list[Tensor]] = []
            for _ in range(2):
                table, x = torch.nn.Parameter(start.clone()), inputs.detach().requires_grad_()
                optimizer = optim.Adagrad([table], lr=0.1, in_backward=True)
                with kernels.use(BACKEND):
                    functional.sampled_softmax_loss(x, table, drawn).backward()
                    optimizer.step()
                assert x.grad is not None
                made.append([x.grad, table.detach()])
            if not all(torch.equal(*pair) for pair in zip(*made, strict=True)):
                differ.append(f"{dtype_name(dtype)}, {'own samples' if per_row else 'shared'}")
    verdict = f"DIFFERENT: {', '.join(differ)}" if differ else "the same bits"
    bench.report.add(f"a step done twice, from the same state: {verdict}", check=True)


def check_draws(bench: Bench) -> None:
    """A seed gives the classes of the CPU."""
    classes = bench.size(100_000, 50)
    makers: dict[str, Callable[[], Sampler]] = {
        "uniform": lambda: Uniform(classes, 64, seed=3),
        "log-uniform": lambda: LogUniform(classes, 64, seed=3),
        "unigram": lambda: Unigram(range(1, classes + 1), 64, seed=3),
        "learned unigram": lambda: LearnedUnigram(classes, 64, seed=3),
        "distinct": lambda: LogUniform(classes, 16, replacement=False, seed=3),
        "in batch": lambda: InBatch(classes, seed=3),
    }
    differ: list[str] = []
    for name, make in makers.items():
        here, there = make(), make().to(bench.device)
        for _ in range(3):
            targets = torch.randint(classes, (bench.size(4096, 8),))
            with kernels.use("cpp"):
                expected = here.draw(targets)
            found = there.draw(targets.to(bench.device))
            same = float((found.ids.cpu() == expected.ids).double().mean())
            close = torch.allclose(found.log_expected_count.cpu(), expected.log_expected_count, atol=1e-4)
            if same < 1 or not close:
                differ.append(f"{name} ({1 - same:.1e} of the classes)")
    verdict = "the same classes as on the CPU" if not differ else f"DIFFERENT: {', '.join(sorted(set(differ)))}"
    bench.report.add(f"draws of {len(makers)} samplers: {verdict}", check=True)


def check_updates(bench: Bench) -> None:
    """Optimizers inside of backward beside the CPU."""
    worst = 0.0
    for name in ("SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam"):
        tables: list[Tensor] = []
        for place in (bench.device, torch.device("cpu")):
            torch.manual_seed(0)
            table = torch.nn.Parameter(torch.randn(60, 9).to(place))
            optimizer = getattr(optim, name)([table], lr=0.1, in_backward=True)
            sampler = Uniform(60, 7, seed=1, per_row=True, device=place)
            with kernels.use(BACKEND if place == bench.device else "cpp"):
                for _ in range(3):
                    x, targets = torch.randn(5, 9), torch.randint(60, (5,))
                    sampled_loss("nce", x.to(place), table, sampler.draw(targets.to(place))).backward()
                    optimizer.step()
            tables.append(table.detach().cpu())
        worst = max(worst, float((tables[0] - tables[1]).abs().max()))
    verdict = "right" if worst < 1e-4 else "WRONG"
    bench.report.add(f"{verdict}: four optimizers inside of backward, largest difference {worst:.1e}", check=True)


def zipf_ids(words: int, vocabulary: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Words at random, the r-th most frequent with probability proportional to 1 / (r + 2.7)."""
    shares = np.cumsum(1 / (np.arange(vocabulary) + 2.7))
    return np.searchsorted(shares / shares[-1], np.random.default_rng(0).random(words)).astype(np.int32)


def check_word2vec(bench: Bench) -> None:
    """One program beside the compiled engine, which trains the same windows with the same negatives, and many."""
    from logq.text import Vocabulary
    from logq.word2vec import kernel
    from logq.word2vec.engines import Position, Span, first_vectors
    from logq.word2vec.triton_engine import TritonEngine
    from logq.word2vec.word2vec_config import Word2VecConfig

    words, vocabulary, dim = bench.size(20_000, 30), bench.size(1000, 9), bench.size(100, 6)
    ids = np.append(zipf_ids(words, vocabulary), -1).astype(np.int32)
    known = Vocabulary([str(word) for word in range(vocabulary)], np.bincount(ids[:-1], minlength=vocabulary) + 1)
    settings = Word2VecConfig(dim=dim, engine="triton", device=str(bench.device), sample=1e-2, num_sampled=5)
    start = first_vectors(vocabulary, dim, 1)
    cells = kernel.alias_cells(known.counts.astype(np.float64) ** settings.unigram_power)
    keep = kernel.keep_thresholds(known.keep_probability(settings.sample))
    setup = kernel.Setup(keep, window=5, cells=cells, pool=0, loss_every=1)
    inputs, outputs = kernel.table(vocabulary, dim), kernel.table(vocabulary, dim)
    inputs[:, :dim] = start
    rate = (0.05, 0.0, 0.0)
    place: dict[str, Any] = {"begin": 0, "end": len(ids), "position": 0, "seed": 5, "rate": rate}
    expected = kernel.train(inputs, outputs, ids, setup, **place)
    for alone in (True, False):
        engine = TritonEngine(settings, known, start, 0)
        if alone:
            engine.programs, engine.tile = 1, engine.tile._replace(centers=1)
        engine.train(Span(ids, 0, len(ids)), Position(0, rate, 5))
        found = engine.finish()
        far = float(np.abs(engine.vectors - inputs[:, :dim]).max())
        loss = found.loss_sum / expected.loss_sum
        right = found.pairs == expected.pairs and abs(loss - 1) < 0.1 and (far < 1e-3 or not alone)
        bench.report.add(
            f"{'right' if right else 'WRONG'}: word2vec, programs: {engine.programs}, {found.pairs:,} pairs with "
            f"{loss:.4f} times the compiled engine's loss, vectors differ by {far:.1e}",
            check=True,
        )


def check_estimators(bench: Bench) -> None:
    """Fit, answer, save and load of an estimator of each kind."""
    from logq.language_models import NNLM
    from logq.logs import Interactions
    from logq.recommenders import EGES, MIND, SDM, AirbnbEmbeddings, Recommender, SASRec, TwoTower, YoutubeDNN
    from logq.word2vec import Word2Vec

    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 600), rng.integers(0, 30, 600)
    log = Interactions.from_arrays(users, items, np.arange(600))
    where = str(bench.device)
    for kind in (YoutubeDNN, SASRec) if DRY else (YoutubeDNN, SASRec, MIND, SDM, TwoTower, EGES, AirbnbEmbeddings):
        try:
            made = kind(dim=16, epochs=1, batch_size=64, seed=1, device=where).fit(log, progress=False)
            asked = [made.item_ids[:3].tolist()]
            with tempfile.TemporaryDirectory() as folder:
                made.save(folder)
                again = Recommender.load(folder)
            found, expected = (model.recommend(histories=asked, k=3).items.tolist() for model in (made, again))
            verdict = "right" if found == expected else "WRONG: another answer after loading"
            bench.report.add(f"{kind.__name__}: {verdict}", check=True)
        except Exception as error:
            bench.report.add(f"{kind.__name__}: FAILED, {type(error).__name__}: {str(error)[:200]}", check=True)
    text = [[f"w{word}" for word in line] for line in rng.integers(0, 50, (200, 8)).tolist()]
    for name, fit in {
        "NNLM": lambda: NNLM(dim=8, hidden=8, epochs=1, seed=1, device=where).fit(text, progress=False),
        "Word2Vec, plain": lambda: Word2Vec(dim=8, epochs=1, min_count=1, seed=1, engine="plain", device=where).fit(
            text, progress=False
        ),
        "Word2Vec, triton": lambda: Word2Vec(dim=8, epochs=1, min_count=1, engine="triton", device=where).fit(
            text[:9], progress=False
        ),
    }.items():
        try:
            fit()
            bench.report.add(f"{name}: fitted", check=True)
        except Exception as error:
            bench.report.add(f"{name}: FAILED, {type(error).__name__}: {str(error)[:200]}", check=True)


def check_paths(bench: Bench) -> None:
    """Every public path on the device beside the CPU: tests/device_paths.py, if pytest is here."""
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        bench.report.add("tests/device_paths.py: left out, pytest or hypothesis is not installed")
        return
    paths = Path(__file__).resolve().parents[1] / "tests" / "device_paths.py"
    options = ["-v", "--tb=line", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider"]
    environment = {**os.environ, "LOGQ_DEVICE": bench.device.type, "TRITON_INTERPRET": str(int(DRY))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", paths, *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=max(10.0, bench.clock.left()),
            check=False,
        )
    except subprocess.TimeoutExpired as stopped:
        said = stopped.stdout or ""
        lines = (said if isinstance(said, str) else said.decode(errors="replace")).splitlines()
        right = sum(" PASSED" in line for line in lines)
        bench.report.add(f"tests/device_paths.py: not done in the time that was left; {right} tests passed by then")
        for line in lines:
            if " FAILED" in line or " ERROR" in line:
                bench.report.add(line[:200], check=True)
        return
    lines = done.stdout.strip().splitlines() or [done.stderr[-300:]]
    verdict = "right" if done.returncode == 0 else "WRONG"
    bench.report.add(f"{verdict}: every public path, {lines[-1].strip('= ')}", check=True)
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            bench.report.add(line[:200], check=True)


# --------------------------------------------------------------------------------------------------------------- fast?


def time_shared(bench: Bench, dtype: torch.dtype) -> None:
    """A step of sampled softmax with a shared sample and Adagrad, at the size that GPU libraries are compared at.

    It is timed as torch is set, and where TF32, or a rounded factor, is allowed for.
    """
    batch, sample, dim = bench.size(8192, 16), bench.size(8192, 16), bench.size(256, 8)
    classes = bench.size(10_000_000 if dtype == torch.bfloat16 else 4_000_000, 100)
    name = f"sampled softmax, B = S = {batch:,}, D = {dim}, C = {classes:,}, {dtype_name(dtype)}"
    inputs = torch.randn(batch, dim, device=bench.device, dtype=dtype)
    targets = torch.randint(classes, (batch,), device=bench.device)
    sampler = LogUniform(classes, sample, seed=1, device=bench.device)
    table = torch.nn.Parameter(torch.empty(classes, dim, device=bench.device, dtype=dtype).normal_(std=0.1))

    def step(optimizer: Any, **options: Any) -> None:
        x = inputs.detach().requires_grad_()
        functional.sampled_softmax_loss(x, table, sampler.draw(targets), **options).backward()
        optimizer.step()
        optimizer.zero_grad()

    optimizer = optim.RowWiseAdagrad([table], lr=0.01, in_backward=True)
    for precision in ("highest", "high" if dtype == torch.float32 else "medium"):
        rate = OPERATIONS["TF32" if precision == "high" else dtype]
        with kernels.use(BACKEND), at_precision(precision):
            bench.time(
                f"{name}, at {precision!r}: draw, loss, update inside of backward",
                lambda: step(optimizer),
                floor=8 * batch * sample * dim / rate,
            )
    optimizer = optim.RowWiseAdagrad([table], lr=0.01)
    with kernels.use("reference"):
        bench.time(f"{name}: the reference, sparse gradient", lambda: step(optimizer, sparse=True))

    def gathered(x: Tensor, rows: Tensor, log_q: Tensor, true_rows: Tensor, true_log_q: Tensor) -> Tensor:
        logits = torch.cat([((x * true_rows).sum(1) - true_log_q)[:, None], x @ rows.T - log_q], dim=1)
        return cross_entropy(logits.float(), torch.zeros(len(x), dtype=torch.int64, device=x.device))

    compiled = gathered if DRY else torch.compile(gathered)
    plain = torch.optim.SGD([table], lr=0.01)

    def by_torch() -> None:
        drawn = sampler.draw(targets)
        x = inputs.detach().requires_grad_()
        rows = embedding(drawn.ids, table, sparse=True)
        true_rows = embedding(drawn.targets, table, sparse=True)
        logs = drawn.log_expected_count.to(dtype), drawn.true_log_expected_count.to(dtype)
        compiled(x, rows, logs[0], true_rows, logs[1]).backward()
        plain.step()
        plain.zero_grad()

    bench.time(f"{name}: torch.compile of gather and cross_entropy, SGD, hits not removed", by_torch)


def time_per_row(bench: Bench) -> None:
    """Rows with samples of their own, as in recommenders and word2vec."""
    batch, sample, dim, classes = bench.size(4096, 4), 20, bench.size(128, 8), bench.size(1_000_000, 100)
    name = f"own samples, B = {batch:,}, k = {sample}, D = {dim}, C = {classes:,}, float32"
    table = torch.nn.Parameter(torch.randn(classes, dim, device=bench.device))
    inputs = torch.randn(batch, dim, device=bench.device)
    targets = torch.randint(classes, (batch,), device=bench.device)
    candidates = Uniform(classes, sample, per_row=True, seed=1, device=bench.device).draw(targets)
    floor = 4 * batch * (sample + 1) * dim * 2 / BYTES_PER_SECOND

    def step(sparse: bool) -> None:
        x = inputs.detach().requires_grad_()
        functional.sampled_softmax_loss(x, table, candidates, sparse=sparse).backward()
        table.grad = None

    for backend in (BACKEND, "reference"):
        with kernels.use(backend):
            bench.time(f"{name}: loss and sparse gradients, {backend}", lambda: step(True), floor=floor)
    optimizer = optim.SGD([table], lr=0.01, in_backward=True)
    with kernels.use(BACKEND):
        bench.time(f"{name}: loss and SGD inside of backward, {BACKEND}", lambda: step(False), floor=floor)
    del optimizer


def time_draws(bench: Bench) -> None:
    """Draws, from a table and without one."""
    size, classes = bench.size(8192, 16), bench.size(1_000_000, 100)
    seed = torch.tensor(1, device=bench.device)
    for name, distribution in {
        "alias table": Unigram(np.arange(1, classes + 1), 1).to(bench.device)._distribution(),
        "log-uniform": LogUniformDistribution(classes),
    }.items():
        for backend in (BACKEND, "reference"):
            with kernels.use(backend):
                draw = functools.partial(kernels.get("draws", bench.device.type), distribution, seed, (size,))
                bench.time(f"{size:,} draws, {name}, {backend}", draw)
    distinct = LogUniform(classes, size // 8, replacement=False, seed=1, device=bench.device)
    targets = torch.zeros(1, dtype=torch.int64, device=bench.device)
    bench.time(f"{size // 8:,} distinct classes, log-uniform", lambda: distinct.draw(targets))


def time_updates(bench: Bench) -> None:
    """Sums and updates of rows at the shape that FBGEMM publishes: 0.96 ms for SGD, 1.35 ms for Adam on an H100."""
    lookups, dim, classes = bench.size(1_048_570, 50), bench.size(128, 8), bench.size(1_000_000, 100)
    # With this exponent about a third of the lookups are different rows.
    ids = (torch.rand(lookups, device=bench.device) ** 3 * classes).long()
    rows = torch.randn(lookups, dim, device=bench.device)
    different = int(ids.unique().numel())
    floor = 4 * dim * (lookups + 2 * different) / BYTES_PER_SECOND
    for kind in ("SGD", "LazyAdam"):
        table = torch.nn.Parameter(torch.randn(classes, dim, device=bench.device))
        optimizer = getattr(optim, kind)([table], lr=0.01)
        table.grad = torch.sparse_coo_tensor(ids[None], rows, table.shape)
        for backend in (BACKEND, "reference"):
            with kernels.use(backend):
                bench.time(
                    f"{kind}: {lookups:,} rows of width {dim}, {different:,} different, {backend}",
                    optimizer.step,
                    floor=floor,
                )
    by_fbgemm(bench, ids, rows, classes, different, floor)


def by_fbgemm(bench: Bench, ids: Tensor, rows: Tensor, classes: int, different: int, floor: float) -> None:
    """The same update by FBGEMM's tables, if it is there: what its backward takes."""
    try:
        from fbgemm_gpu.split_embedding_configs import EmbOptimType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
            ComputeDevice,
            SplitTableBatchedEmbeddingBagsCodegen,
        )
    except ImportError:
        bench.report.add("FBGEMM: not installed here")
        return
    offsets = torch.arange(len(ids) + 1, device=bench.device)
    for kind, optimizer in (("SGD", EmbOptimType.EXACT_SGD), ("Adam", EmbOptimType.ADAM)):
        tables = SplitTableBatchedEmbeddingBagsCodegen(
            [(classes, rows.shape[1], EmbeddingLocation.DEVICE, ComputeDevice.CUDA)],
            optimizer=optimizer,
            pooling_mode=PoolingMode.NONE,
        )
        looked_up = tables(ids, offsets)

        def backward(looked_up: Tensor = looked_up) -> None:
            looked_up.backward(rows, retain_graph=True)

        name = f"{kind}: {len(ids):,} rows of width {rows.shape[1]}, {different:,} different, FBGEMM's backward"
        bench.time(name, backward, floor=floor)


def time_full(bench: Bench) -> None:
    """The softmax over all classes, beside torch's own, and Liger's and Apple's if they are there."""
    batch, dim, classes = bench.size(4096, 8), bench.size(512, 8), bench.size(128_256, 50)
    for dtype in (torch.float32, torch.bfloat16):
        table = torch.randn(classes, dim, device=bench.device, dtype=dtype).requires_grad_()
        inputs = torch.randn(batch, dim, device=bench.device, dtype=dtype)
        targets = torch.randint(classes, (batch,), device=bench.device)
        for precision in ("highest", "high" if dtype == torch.float32 else "medium"):
            name = f"full softmax, B = {batch:,}, D = {dim}, C = {classes:,}, {dtype_name(dtype)}, at {precision!r}"
            floor = 6 * batch * classes * dim / OPERATIONS["TF32" if precision == "high" else dtype]
            for label, loss in full_losses().items():

                def run(loss: Callable[..., Tensor] = loss, table=table, inputs=inputs, targets=targets) -> None:
                    loss(inputs.detach().requires_grad_(), table, targets).backward()
                    table.grad = None

                with at_precision(precision), kernels.use(BACKEND):
                    try:
                        bench.time(f"{name}: {label}", run, floor=floor)
                    except Exception as error:  # of one of them, which is not to stop the others
                        bench.report.add(f"{name}: {label} does not run, {type(error).__name__}: {str(error)[:100]}")


def full_losses() -> dict[str, Callable[..., Tensor]]:
    """Functions of input, class weights and targets that are here."""
    found: dict[str, Callable[..., Tensor]] = {"logq": full_softmax_loss, "cross_entropy of a product": of_product}
    of_torch = getattr(torch.nn.functional, "linear_cross_entropy", None)
    if of_torch is not None:
        found["torch's linear_cross_entropy"] = of_torch
    if DRY:
        return found
    with contextlib.suppress(ImportError):
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        of_liger = LigerFusedLinearCrossEntropyLoss()
        found["Liger"] = lambda inputs, weight, targets: of_liger(weight, inputs, targets)
    with contextlib.suppress(ImportError):
        from cut_cross_entropy import linear_cross_entropy

        found["cut-cross-entropy"] = linear_cross_entropy
    return found


def of_product(inputs: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The loss that everybody writes first: (B, C) logits in memory."""
    return cross_entropy((inputs @ weight.T).float(), targets)


def time_sasrec(bench: Bench) -> None:
    """An epoch of SASRec on a log of MovieLens 1M's size, made at random."""
    from logq.logs import Interactions
    from logq.recommenders import SASRec

    users, items, events = bench.size(6040, 20), bench.size(3416, 15), bench.size(1_000_000, 200)
    rng = np.random.default_rng(0)
    log = Interactions.from_arrays(rng.integers(0, users, events), rng.integers(0, items, events), np.arange(events))
    for place in ("cpu",) if DRY else ("cuda", "cpu"):
        began = time.perf_counter()
        torch.set_num_threads(1 if place == "cpu" else os.cpu_count() or 1)
        SASRec(dim=64, epochs=1, seed=1, device=place, patience=None).fit(log, progress=False)
        took = 1000 * (time.perf_counter() - began)
        bench.report.add(Row(f"SASRec, an epoch of {events:,} events, {place}", took, (took, took), None, "once"))


def time_word2vec(bench: Bench) -> None:
    """An epoch of word2vec over as many words as text8 has, of Zipf's distribution."""
    from logq.text import Vocabulary
    from logq.text.encoding import encode_ids
    from logq.word2vec import Word2Vec

    words, vocabulary, dim = bench.size(17_000_000, 100), bench.size(70_000, 30), bench.size(128, 8)
    ids = zipf_ids(words, vocabulary)
    known = Vocabulary([str(word) for word in range(vocabulary)], np.bincount(ids, minlength=vocabulary) + 1)
    sample = 0.0 if DRY else 1e-3
    kept = float(known.counts @ known.keep_probability(sample)) / known.total
    runs: list[tuple[str, str, float, bool]] = [  # engine, precision of products, share of the text, skip-gram
        ("triton", "highest", 1.0, True),
        ("triton", "high", 1.0, True),
        ("triton", "highest", 1.0, False),
        ("fused", "highest", 1.0, True),
        ("plain", "highest", 1 / 17, True),
    ]
    for engine, precision, share, sg in runs:
        place = "cpu" if engine == "fused" else str(bench.device)
        torch.set_float32_matmul_precision(precision)
        options: dict[str, Any] = {"dim": dim, "epochs": 1, "engine": engine, "device": place, "sg": sg}
        options["sample"] = sample
        # The plain engine's losses are the library's own: in the interpreter a minute for twenty words.
        backend: Any = contextlib.nullcontext
        if DRY and engine == "plain":
            backend = functools.partial(kernels.use, "reference")
        for size in (max(20, words // 100), max(20, round(words * share))):  # the first compiles
            with backend(), encode_ids(ids[:size], np.array([*range(0, size, 1000), size]), known) as corpus:
                made = Word2Vec(**options).fit(corpus, progress=False)
        torch.set_float32_matmul_precision("highest")
        milliseconds = 1000 * made.training_seconds
        # 8.6 rows a center are read and added to; see docs/design/word2vec.md
        floor = 1000 * 2 * 8.6 * 4 * dim * kept * words * share / BYTES_PER_SECOND
        name = f"word2vec, {round(words * share):,} words, {'skip-gram' if sg else 'CBOW'}, D = {dim}, {engine}"
        name += ", TF32" if precision == "high" else ""
        note = f"{made.words_trained / made.training_seconds / 1e6:.2f} M words/s, mean loss {made.mean_loss:.3f}, once"
        bench.report.add(Row(name, milliseconds, (milliseconds, milliseconds), floor, note))


BACKEND = "triton"


def main() -> int:
    """Run what the time allows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=420, help="how long it may take")
    parser.add_argument("--out", type=Path, help="the table; default: benchmarks/results/DATE-gpu.md")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--only", nargs="+", default=[], help="parts whose names contain one of these")
    typed = parser.parse_args()
    if not DRY and not torch.cuda.is_available():
        print("There is no CUDA device here; --dry tries the script out on the CPU.", file=sys.stderr)
        return 2
    versions = {"torch": torch.__version__}
    with contextlib.suppress(ImportError):
        import triton

        versions["triton"] = triton.__version__
    card = "the CPU, by Triton's interpreter" if DRY else torch.cuda.get_device_name()
    head = f"# On {card}\n\n" + description("benchmarks/gpu.py", versions)
    out = typed.out or RESULTS / f"{time.strftime('%Y-%m-%d')}-gpu{'-dry' if DRY else ''}.md"
    bench = Bench(Report(out, head), Clock(typed.seconds))
    if DRY:
        global BACKEND
        BACKEND = "interpreted"
        register_interpreted()
    parts: list[tuple[str, float, Callable[[], None]]] = [
        ("check losses", 40, lambda: check_losses(bench)),
        ("check full", 20, lambda: check_full(bench)),
        ("check bits", 10, lambda: check_bits(bench)),
        ("check draws", 15, lambda: check_draws(bench)),
        ("check updates", 10, lambda: check_updates(bench)),
        ("time shared bfloat16", 60, lambda: time_shared(bench, torch.bfloat16)),
        ("time per row", 20, lambda: time_per_row(bench)),
        ("time shared float32", 60, lambda: time_shared(bench, torch.float32)),
        ("time draws", 15, lambda: time_draws(bench)),
        ("time updates", 20, lambda: time_updates(bench)),
        ("check word2vec", 15, lambda: check_word2vec(bench)),
        ("time word2vec", 45, lambda: time_word2vec(bench)),
        ("check estimators", 60, lambda: check_estimators(bench)),
        ("time full", 30, lambda: time_full(bench)),
        ("check paths", 60, lambda: check_paths(bench)),
        ("time SASRec", 90, lambda: time_sasrec(bench)),
    ]
    for name, seconds, run in parts:
        if typed.only and not any(part in name for part in typed.only):
            continue
        with section(bench, name, seconds) as runs:
            if runs:
                run()
    print(f"Wrote {out}")
    wrong = [check for check in bench.report.checks if "WRONG" in check or "FAILED" in check or "DIFFERENT" in check]
    return 1 if wrong or any("FAILED" in note for note in bench.report.notes) else 0


def register_interpreted() -> None:
    """Triton's kernels for the CPU, in the interpreter."""
    from logq.kernels.triton import TritonBackend

    class Interpreted(TritonBackend):
        """The same, elsewhere."""

        name = "interpreted"
        device_types = ("cpu",)

    kernels.register("interpreted", Interpreted())


if __name__ == "__main__":
    sys.exit(main())
