"""One case: build who can take part, hold their losses to ours, time them in turn, ask for their memory."""

import math
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import memory
import torch
from clock import Timed, in_turn
from contestants import KINDS, Kind, forget_compiled
from floor import FLOOR, Products, of_rows
from limits import limits
from machine import available_bytes
from numbers_in_torch import Problem, problem
from pipe import tensorflow
from report import Result
from workloads import Case

TENSORFLOW = Kind("TensorFlow", lambda problem: NotImplemented, "tensorflow")
EVERYBODY = (*KINDS, TENSORFLOW)
TOLERANCE = 1e-4
FULL_LOGITS = 4 << 30
"""The full softmax stands beside the others as long as its logits take no more than that."""


class Options(NamedTuple):
    """How to measure.

    Attributes:
        kinds: the contestants that were asked for.
        tensorflow: a Python that has it, or None.
        memory: whether to measure peaks too, each in a process of its own.
        scale: for what is measured of the machine.
    """

    kinds: tuple[Kind, ...]
    tensorflow: str | None
    threads: int
    repeat: int
    memory: bool
    scale: float
    say: Callable[[str], None]


def needed_bytes(kind: Kind, case: Case) -> int:
    """About what a contestant needs besides the table that all of this process share."""
    table = 4 * case.num_classes * case.dim
    states = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 0, "adam": 2}[case.optimizer]
    if kind is TENSORFLOW:
        return table * (2 + states)  # numpy's array and the variable
    rows = 4 * (case.batch * case.sampled if case.shared else 3 * case.entries * case.dim)
    logits = 12 * case.batch * case.num_classes if kind.stands_for == "full" else 0
    return table * (states + kind.dense) + 4 * rows + logits


def left_out(kind: Kind, case: Case) -> str | None:
    """Why a contestant does not take part, or None if it does."""
    if kind.stands_for == "full":
        if case.objective != "sampled_softmax":
            return "another loss"
        if 4 * case.batch * case.num_classes > FULL_LOGITS:
            return f"{4 * case.batch * case.num_classes / 1e9:.0f} GB of logits"
    if needed_bytes(kind, case) > 0.9 * available_bytes():
        return f"about {needed_bytes(kind, case) / 1e9:.0f} GB, and {available_bytes() / 1e9:.0f} GB are available"
    return None


def build(made: Problem, options: Options, notes: list[str]) -> dict[str, Any]:
    """The contestants of a case that can be built, by name."""
    built: dict[str, Any] = {}
    for kind in options.kinds:
        reason = left_out(kind, made.case)
        if reason is not None:
            if reason != "another loss":
                notes.append(f"Left out: {kind.name} ({reason}).")
            continue
        try:
            if kind is TENSORFLOW:
                if options.tensorflow is not None:
                    built[kind.name] = tensorflow(options.tensorflow, made.case, options.threads)
            else:
                built[kind.name] = kind.build(made)
        except LookupError:
            continue  # no such optimizer there
        except Exception as error:
            notes.append(f"Left out: {kind.name} ({type(error).__name__}: {str(error)[:200]}).")
    return built


def reference_loss(made: Problem, index: int) -> float:
    """The loss in float64, by the definition, from rows gathered by indexing: none of the contestants' code."""
    batch, case = made.batches[index], made.case
    input = batch.input.detach().double()
    true = (input * made.weight[batch.targets].double()).sum(1)
    rows = made.weight[batch.ids].double()
    sampled = input @ rows.T if case.shared else (rows * input[:, None]).sum(2)
    if case.objective != "negative_sampling":
        true, sampled = true - batch.true_log_q, sampled - batch.log_q
    if case.objective in ("sampled_softmax", "sampled_logistic"):
        sampled[batch.ids.expand(sampled.shape) == batch.targets[:, None]] = -math.inf
    if case.objective == "sampled_softmax":
        return float((torch.cat([true[:, None], sampled], 1).logsumexp(1) - true).mean())
    return float((torch.log1p(torch.exp(-true)) + torch.log1p(torch.exp(sampled)).sum(1)).mean())


def compare_losses(built: dict[str, Any], made: Problem, notes: list[str]) -> None:
    """A line for everyone whose loss is not the definition's, before anything is timed. One who fails leaves."""
    expected = reference_loss(made, 0)
    for name in list(built):
        if name == "full softmax":
            continue
        try:
            got = built[name].loss(0)
        except Exception as error:
            notes.append(f"Left out: {name} ({type(error).__name__}: {str(error).strip()[:200]}).")
            built.pop(name).close()
            continue
        if not math.isclose(got, expected, rel_tol=TOLERANCE):
            notes.append(f"WARNING: the loss of {name} is {got:.6f}, by definition {expected:.6f}.")


def peaks(case: Case, names: list[str], options: Options) -> dict[str, int]:
    """Bytes that a step takes above the tables, in processes of their own."""
    found: dict[str, int] = {}
    with memory.Questions(options.threads) as questions:
        for name in names:
            if name == TENSORFLOW.name:
                assert options.tensorflow is not None
                peer = tensorflow(options.tensorflow, case, options.threads)
                found[name] = int(peer.ask("memory 0 1 2"))
                peer.close()
            elif (peak := questions.ask(list(case), name)) is not None:
                found[name] = peak
    return found


def run(case: Case, options: Options) -> Result:
    """Measure a case."""
    options.say(f"{case}")
    made = problem(case)
    notes: list[str] = []
    built = build(made, options, notes)
    machine = limits(case.dim, options.threads, options.scale)
    try:
        compare_losses(built, made, notes)
        timed: dict[str, Timed] = dict(built)
        if case.shared:
            timed[FLOOR] = Products(case)
        times = in_turn(timed, options.repeat, len(made.batches), notes.append)
    finally:
        for contestant in built.values():
            contestant.close()
        built.clear()
        forget_compiled()
    if case.shared:
        floor = times.pop(FLOOR).median
        about = "the three bare products"
    else:
        moving = of_rows(made, machine)
        floor = moving.seconds
        about = (
            f"rows moved {1e3 * moving.moving:.2f} ms (read at {machine.read / 1e9:.1f} GB/s, updated at "
            f"{machine.update / 1e9:.1f}), arithmetic {1e3 * moving.computing:.2f} ms "
            f"({machine.compute / 1e9:.0f} GFLOP/s)"
        )
    del made
    result = Result(case, times, floor, about, notes=notes)
    if options.memory:
        result.peaks = peaks(case, list(times), options)
    return result


def versions(python: str | None, package: str) -> dict[str, str]:
    """The version of a package in another Python, for the head of the report."""
    if python is None:
        return {}
    name = package.replace("_", "-")
    code = (
        "from importlib.metadata import packages_distributions, version\n"
        f"print(version(packages_distributions()[{package!r}][0]))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return {name: done.stdout.strip()} if done.returncode == 0 else {}
