"""`logq diagnose`: which sampler, and how many samples, a model needs for a gradient close to the exact one."""

import json
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._files import atomic_write
from logq.cli.diagnose_reading import Classifier, read_classifier
from logq.cli.diagnose_report import advice, print_lines, print_table
from logq.cli.errors import BadInputError, say_error
from logq.cli.log_reading import in_options
from logq.cli.output import check_file
from logq.cli.report import say

if TYPE_CHECKING:
    from logq.samplers import Sampler

__all__ = ["EXAMPLES", "Estimator", "diagnose"]

EXAMPLES = """
logq diagnose model
logq diagnose model --samplers uniform,unigram:0.5 --error 0.2
logq diagnose lm ptb.test.txt --figure errors.png
logq diagnose arrays.npz --distinct --json errors.json
"""

SAMPLERS = "uniform,log_uniform,unigram,unigram:0.75"
SIZES = (16, 64, 256, 1024, 4096)


class Estimator(str, Enum):
    """What estimates the gradient, as logq.diagnostics.gradient_error names it."""

    self_normalized = "self_normalized"
    sampled_softmax = "sampled_softmax"


def diagnose(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of `logq train`, or .npz or .safetensors file of arrays.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="What a language model reads. Others need none.")
    ] = None,
    samplers: Annotated[
        str | None,
        typer.Option(
            "--samplers",
            metavar="NAMES",
            help=f"uniform, log_uniform, unigram, unigram:POWER, with commas between. Default: {SAMPLERS}.",
        ),
    ] = None,
    num_sampled: Annotated[
        str | None,
        typer.Option(
            "--num-sampled",
            metavar="NUMBERS",
            help="Numbers of samples to measure. Default: 16,64,256,1024,4096, as far as there are classes.",
        ),
    ] = None,
    error: Annotated[float, typer.Option("--error", metavar="X", help="The relative error that is wanted.")] = 0.1,
    estimator: Annotated[
        Estimator,
        typer.Option(
            "--estimator",
            metavar="NAME",
            help="self_normalized: importance sampling. sampled_softmax: the loss of that name as it is trained.",
        ),
    ] = Estimator.self_normalized,
    distinct: Annotated[bool, typer.Option("--distinct", help="Draw without replacement.")] = False,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Queries to look at.")] = 256,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=4, help="Draws of each kind; more, and errors are surer.")
    ] = 32,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the draws.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw error and bias against k, as .png, .svg or .pdf."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers to a file, too.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ...")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Find out which sampler and how many samples a model needs for a wanted error of its gradient.

    The gradient of the softmax is estimated from k sampled classes and compared with the exact one, for queries of the
    model: the last events of users of a recommender, the places of a text, or the rows of `inputs` (B, D) in a file
    that has `weight` (C, D) too, and may have `bias`, `counts` and `targets`. Errors are relative to the length of the
    exact gradient, with what is bias in them, and the effective sample size. Read by another program (in a pipe), the
    answer is lines of sampler, k, and value and standard error of error, bias, std and sample size, separated by tabs.
    """
    for path in (figure, output):
        if path is not None:
            check_file(path)
    names = _names(samplers)
    wanted = _numbers(num_sampled)
    if not 0 < error < float("inf"):
        raise BadInputError(f"--error: expected a number above 0, got {error:g}")
    if figure is not None and figure.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise BadInputError(f"--figure: expected a name that ends in .png, .svg or .pdf, got {figure}")
    from logq.shapes import check_device

    try:
        check_device(device)
        found = read_classifier(model, text, rows=rows, device=device)
        errors = _measure(
            found,
            _makers(names, found, explicit=samplers is not None, distinct=distinct),
            wanted or _sizes(len(found.weight)),
            estimator=estimator.value,
            repeats=repeats,
            seed=seed,
            progress=False if quiet else None,
        )
    except (ValueError, TypeError) as problem:
        raise BadInputError(in_options(str(problem), ["num_sampled", "error", "device", "repeats"])) from problem
    if figure is not None:
        from logq.diagnostics import plot

        plot(errors, figure, error=error)
    if output is not None:
        needed = {name: errors.num_sampled_for(error, name)._asdict() for name in errors.samplers}
        content = {"model": str(model), "wanted_error": error, "needed": needed, **errors.as_dict()}
        with atomic_write(output) as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    if not sys.stdout.isatty():
        print_lines(errors)
        return
    print_table(errors)
    say()
    say(advice(errors, error, found.classes))
    say(
        (
            f"{errors.num_rows:,} {found.rows}, {errors.num_classes:,} {found.classes}, {errors.repeats} draws each; "
            "~ is a bias that noise could have made.",
            "dim",
        )
    )
    if figure is not None:
        say((str(figure), "bold"), ": error and bias against k.")


def _measure(found: Classifier, laws: "dict[str, Callable[[int], Sampler]]", sizes: list[int], **options: Any) -> Any:
    from logq.diagnostics import gradient_error

    # Sampled softmax is right on average over targets: those of the model's own softmax show what is left of its bias.
    targets = None if options["estimator"] == Estimator.sampled_softmax else found.targets
    return gradient_error(found.inputs, found.weight, laws, sizes, bias=found.bias, targets=targets, **options)


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
        law = name.partition(":")[0]
        if law == "uniform":
            made[name] = lambda k: Uniform(size, k, **options)
        elif law == "log_uniform":
            if counts is not None and (np.diff(counts) > 0).any():
                say_error("log_uniform expects frequent classes first; here they are not in that order.", "Note")
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
        law, colon, power = name.strip().partition(":")
        try:
            if law not in ("uniform", "log_uniform", "unigram") or (colon and law != "unigram"):
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
        raise BadInputError(f"--num-sampled: expected integers with commas between, got {wrong[0]!r}")
    return sorted({int(part) for part in parts})


def _sizes(num_classes: int) -> list[int]:
    """What is measured where nothing was said: no more than there are classes."""
    return [k for k in SIZES if k <= num_classes] or [max(1, num_classes // 2)]
