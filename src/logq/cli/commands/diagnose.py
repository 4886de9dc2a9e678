"""`logq diagnose`: which sampler, and how many samples, keep the gradient of a model close to the exact one."""

import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError
from logq.cli.classifier_reading import Classifier, read_classifier
from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.input_output import READS, WRITES
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.gradient_table import advice, print_lines, print_table
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.text_reading import Encoding

if TYPE_CHECKING:
    from logq.samplers import Sampler

__all__ = ["EXAMPLES", "EstimateName", "diagnose"]

EXAMPLES = """
logq diagnose model
logq diagnose model --samplers uniform,unigram:0.5 --error 0.2
logq diagnose model test.txt --figure errors.png
logq diagnose arrays.npz --distinct --json errors.json
"""

SAMPLERS = "uniform,log_uniform,unigram,unigram:0.75"
SIZES = (16, 64, 256, 1024, 4096)


class EstimateName(str, Enum):
    """What estimates the gradient, as logq.diagnostics.gradient_error names it."""

    self_normalized = "self_normalized"
    sampled_softmax = "sampled_softmax"
    refined_softmax = "refined_softmax"


def diagnose(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Folder written by `logq train`, or a .npz or .safetensors file of arrays."
        ),
        READS,
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="Text to take positions from; for language models only."),
        READS,
    ] = None,
    samplers: Annotated[
        str | None,
        typer.Option(
            "--samplers",
            metavar="NAMES",
            help="Samplers to compare, separated by commas: uniform, log_uniform, unigram, unigram:POWER.",
            show_default=SAMPLERS,
        ),
    ] = None,
    num_sampled: Annotated[
        str | None,
        typer.Option(
            "--num-sampled",
            metavar="NUMBERS",
            help="Numbers of samples to measure, separated by commas.",
            show_default="16,64,256,1024,4096, up to the number of classes",
        ),
    ] = None,
    error: Annotated[float, typer.Option("--error", metavar="X", help="Target relative error.")] = 0.1,
    estimator: Annotated[
        EstimateName,
        typer.Option(
            "--estimator",
            metavar="NAME",
            help="self_normalized, by importance sampling; or sampled_softmax or refined_softmax, the gradient of that "
            "loss.",
        ),
    ] = EstimateName.self_normalized,
    distinct: Annotated[bool, typer.Option("--distinct", help="Draw without replacement.")] = False,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Maximum number of queries.")] = 256,
    repeats: Annotated[
        int,
        typer.Option(
            "--repeats", metavar="N", min=4, help="Draws for each number of samples; more give smaller standard errors."
        ),
    ] = 32,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the draws.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Plot error and bias against k, to a .png, .svg or .pdf file."),
        WRITES,
    ] = None,
    encoding: Encoding = None,
    output: JsonOutput = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Find out which sampler, and how many samples, keep the error of a model's gradient below a target.

    The gradient of the softmax is estimated from k sampled classes and compared with the exact one, for queries of the
    model: the last events of users of a recommender, the positions of a text, or the rows of `inputs` (B, D) in a file
    that also has `weight` (C, D), and may have `bias`, `counts` and `targets`. Errors are relative to the norm of the
    exact gradient, and shown with their bias and the effective sample size (ess). In a pipe, the output is lines of
    sampler, k, and value and standard error of error, bias, std and ess, separated by tabs.
    """
    for path in (figure, output):
        if path is not None:
            check_file(path)
    names = _names(samplers)
    wanted = _numbers(num_sampled)
    if not 0 < error < float("inf"):
        raise BadInputError(f"--error: expected a number above 0, got {error:g}")
    if figure is not None:
        from logq.diagnostics.error_figure import check_figure

        try:
            check_figure(figure)
        except ArgumentError as wrong:
            raise BadInputError(wrong.message("--figure")) from wrong
    from logq.shapes import check_device

    check_device(device)
    found = read_classifier(model, text, encoding=encoding, rows=rows, device=device)
    errors = _measure(
        found,
        _makers(names, found, explicit=samplers is not None, distinct=distinct),
        wanted or _sizes(len(found.weight)),
        estimator=estimator.value,
        repeats=repeats,
        seed=seed,
        progress=False if quiet else None,
    )
    if figure is not None:
        from logq.diagnostics import plot

        plot(errors, figure, error=error)
    if output is not None:
        needed = {name: errors.num_sampled_for(error, name)._asdict() for name in errors.samplers}
        write_json(output, {"model": str(model), "wanted_error": error, "needed": needed, **errors.as_dict()})
    if not sys.stdout.isatty():
        print_lines(errors)
        return
    print_table(errors)
    say()
    say(advice(errors, error, found.classes))
    say(
        (
            f"{model}: {errors.num_rows:,} {found.rows}, {errors.num_classes:,} {found.classes}, "
            f"{errors.repeats} draws each; ~ marks a bias that noise could explain.",
            "dim",
        )
    )
    if figure is not None:
        say((str(figure), "bold"), ": error and bias against k.")


def _measure(
    found: Classifier, samplers: "dict[str, Callable[[int], Sampler]]", sizes: list[int], **options: Any
) -> Any:
    from logq.diagnostics import gradient_error

    # Sampled softmax is right on average over targets: those of the model's own softmax show what is left of its bias.
    targets = None if options["estimator"] != EstimateName.self_normalized else found.targets
    return gradient_error(found.inputs, found.weight, samplers, sizes, bias=found.bias, targets=targets, **options)


def _makers(
    names: list[tuple[str, float]], found: Classifier, *, explicit: bool, distinct: bool
) -> "dict[str, Callable[[int], Sampler]]":
    """A function k -> sampler for each name."""
    import numpy as np

    from logq.samplers import LogUniform, Uniform, Unigram

    size, counts, device = len(found.weight), found.counts, found.weight.device
    options: Any = {"replacement": not distinct, "device": device}
    made: dict[str, Callable[[int], Sampler]] = {}
    for name, power in names:
        kind = name.partition(":")[0]
        if kind == "uniform":
            made[name] = lambda k: Uniform(size, k, **options)
        elif kind == "log_uniform":
            if counts is not None and (np.diff(counts) > 0).any():
                note("log_uniform expects frequent classes first; here they are not in that order.")
            made[name] = lambda k: LogUniform(size, k, **options)
        elif counts is not None:
            made[name] = lambda k, power=power: Unigram(counts, k, power=power, **options)
        elif explicit:
            raise BadInputError(f"--samplers: {name} needs an array `counts` (C,) in the file")
    return made


def _names(typed: str | None) -> list[tuple[str, float]]:
    """Names as they were typed, each with its power."""
    found: list[tuple[str, float]] = []
    for name in (SAMPLERS if typed is None else typed).split(","):
        kind, colon, power = name.strip().partition(":")
        try:
            if kind not in ("uniform", "log_uniform", "unigram") or (colon and kind != "unigram"):
                raise ValueError
            found.append((name.strip(), float(power) if colon else 1.0))
        except ValueError:
            raise BadInputError(
                f"--samplers: expected uniform, log_uniform, unigram or unigram:POWER, got {name.strip()!r}"
            ) from None
    return found


def _numbers(typed: str | None) -> list[int]:
    if typed is None:
        return []
    parts = [part.strip() for part in typed.split(",")]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < 1]
    if wrong:
        raise BadInputError(f"--num-sampled: expected integers separated by commas, got {wrong[0]!r}")
    return sorted({int(part) for part in parts})


def _sizes(num_classes: int) -> list[int]:
    """The default sample sizes: none larger than the number of classes."""
    return [k for k in SIZES if k <= num_classes] or [max(1, num_classes // 2)]
