"""The options `precision`, `compile` and `cuda_graphs`: what they change, and what they do not."""

import contextlib
import warnings
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import language_cases
import recommender_cases
from logq.recommenders import Recommender
from logq.recommenders.neural import neural_recommender
from logq.training import Device, TrainingWarning, step_graphs
from logq.training.options import TrainingConfig, check_precision

GRAPH_BREAKS = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
"""On a CPU sizes follow from values, where torch.compile makes several graphs; it then looks at gradients."""


def fitted(name: str, **options: Any) -> Any:
    if name in ("nnlm", "gru", "lstm"):
        return language_cases.make(name, **options).fit(language_cases.TEXT[:60], progress=False)
    return recommender_cases.make(name, **options).fit(recommender_cases.planted_log(users=20), progress=False)


def test_names_of_precisions() -> None:
    assert TrainingConfig(precision="bf16").precision == "bfloat16"
    assert TrainingConfig.from_settings({"precision": "bf16"}).settings()["precision"] == "bfloat16"
    assert not Device("cpu", "auto").bfloat16
    assert Device("cpu", "bf16").bfloat16
    with pytest.raises(ValueError, match=r"precision: .*, got 'float16'; small gradients are 0"):
        check_precision("precision", "float16")
    with pytest.raises(ValueError, match=r"precision: expected one of float32, bfloat16, auto, got 16"):
        TrainingConfig(precision=16)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["YoutubeDNN", "SASRec", "nnlm", "gru"])
def test_a_model_learns_as_much_in_bfloat16(name: str, seed: int) -> None:
    """The losses of these differ by 0.6 % at most, and in their last bits at least."""
    # Prefixes would be ten times the updates, after which the two have gone different ways.
    options = {"examples": "positions"} if name == "SASRec" else {}
    single, half = (fitted(name, seed=seed, epochs=4, precision=one, **options) for one in ("float32", "bfloat16"))
    expected, found = (model.training_log[-1]["loss"] for model in (single, half))
    assert found == pytest.approx(expected, rel=0.01)
    assert found != expected
    assert all(weight.dtype is torch.float32 for weight in half.model.parameters())


@GRAPH_BREAKS
def test_what_torch_cannot_compile_is_trained_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_compiler(function: Any) -> Any:
        def fail(graph: Any, inputs: Any) -> Any:
            raise RuntimeError("no C++ compiler is here")

        return compile_by(function, backend=fail)

    compile_by = torch.compile
    monkeypatch.setattr(torch, "compile", without_compiler)
    expected = fitted("nnlm", epochs=1)
    with pytest.warns(TrainingWarning, match="compile: torch.compile failed, .*no C[+][+] compiler is here") as said:
        found = fitted("nnlm", epochs=1, compile=True)
    assert len(said) == 1
    assert found.training_log[0]["loss"] == expected.training_log[0]["loss"]


@GRAPH_BREAKS
def test_a_compiled_model_learns_the_same_and_is_saved_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    used: list[Any] = []
    compile_by = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function: used.append(function) or compile_by(function, backend="eager")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        found, expected = (fitted("YoutubeDNN", epochs=2, compile=one) for one in (True, False))
    assert len(used) == 1
    assert found.training_log[-1]["loss"] == pytest.approx(expected.training_log[-1]["loss"], rel=1e-5)
    assert list(found.model.state_dict()) == list(expected.model.state_dict())
    found.save(tmp_path)
    assert Recommender.load(tmp_path).settings() == expected.settings()


@GRAPH_BREAKS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, when inductor is loaded
@pytest.mark.slow
def test_kernels_of_the_compiler_learn_the_same() -> None:
    found, expected = (fitted("YoutubeDNN", epochs=2, compile=one) for one in (True, False))
    assert found.training_log[-1]["loss"] == pytest.approx(expected.training_log[-1]["loss"], rel=1e-4)


def test_what_cannot_be_captured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"cuda_graphs: .* on a device without CUDA graphs, got True on cpu"):
        fitted("YoutubeDNN", cuda_graphs=True)
    monkeypatch.setitem(step_graphs.GRAPHS, "cpu", None)
    check: Any = step_graphs.check_graphs
    check(torch.device("cpu"), optimizer="adam")
    for options, expected in (
        ({"optimizer": "adagrad"}, "expected False, or the optimizer adam or sgd, got True with adagrad"),
        ({"processes": 2}, "expected False, or one process, got True in 2 processes"),
    ):
        with pytest.raises(ValueError, match=f"cuda_graphs: {expected}"):
            check(torch.device("cpu"), **{"optimizer": "adam", **options})
    step_graphs.check_capturable(torch.nn.Linear(1, 1), sparse=False)
    with pytest.raises(
        ValueError, match="cuda_graphs: expected False, or sparse=False, got True with sparse gradients"
    ):
        step_graphs.check_capturable(torch.nn.Linear(1, 1), sparse=True)


def test_graphs_are_refused_before_anything_is_read_or_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def pretrained(*_: Any, **__: Any) -> Any:
        raise AssertionError("vectors were trained first")

    monkeypatch.setattr(neural_recommender, "first_vectors", pretrained)
    with pytest.raises(ValueError, match="cuda_graphs: "):
        fitted("YoutubeDNN", cuda_graphs=True, pretrain=1)
    with pytest.raises(ValueError, match="cuda_graphs: "):
        language_cases.make("nnlm", cuda_graphs=True).fit("no such file", progress=False)


def test_how_a_model_was_trained_is_not_saved() -> None:
    """So that it is trained further where there is no GPU, and read by versions without these options."""
    assert not {"device", "compile", "cuda_graphs"} & TrainingConfig(compile=True, cuda_graphs=True).settings().keys()


def test_memory_that_runs_out_in_a_capture_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(batch: Any) -> Any:
        if capturing:
            raise torch.OutOfMemoryError("it is full")
        return batch["x"]

    @contextlib.contextmanager
    def graph(*_: Any, **__: Any) -> Generator[None, None, None]:
        capturing.append(True)
        yield

    capturing: list[bool] = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    api = SimpleNamespace(
        Stream=lambda device: stream,
        current_stream=lambda device: stream,
        stream=lambda one: contextlib.nullcontext(),
        device=lambda device: contextlib.nullcontext(),
        CUDAGraph=object,
        graph=graph,
    )
    monkeypatch.setitem(step_graphs.GRAPHS, "cpu", api)
    steps = step_graphs.StepGraphs(step, torch.device("cpu"))
    for _ in range(step_graphs.WARM_UP):
        steps.run({"x": torch.zeros(2)})
    with pytest.raises(torch.OutOfMemoryError, match="it is full"):
        steps.run({"x": torch.zeros(2)})
