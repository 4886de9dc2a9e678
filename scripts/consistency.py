"""Train each objective of the table on a language whose P(y|x) is known, and compare the result with the last column.

    python scripts/consistency.py                      prints the errors of all six objectives
    python scripts/consistency.py --figure FILE.svg    and draws estimate against truth

The language has 8 contexts x and 24 words y. A word's logit is that of a Zipf distribution plus a normal deviate for
each context, so P runs over three orders of magnitude. The model has one free number for each pair, F(x, y) = W[y, x]:
whatever a loss wants it can have, and what is left is the noise of sampling and the loss itself. Negatives are 6 draws
with replacement from the words' frequencies, so that Q is far from uniform; for sampled softmax, which is exact for
fewer distributions, 6 different words drawn uniformly.
"""

import argparse
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from logq.diagnostics import gradient_error
from logq.functional import full_loss, sampled_loss
from logq.objectives import OBJECTIVES, REFINED_SOFTMAX, SAMPLED_SOFTMAX, Objective
from logq.samplers import Sampler, Uniform, Unigram

CONTEXTS, WORDS, NEGATIVES = 8, 24, 6
BATCH = 1024
STEPS = 1500


class Result(NamedTuple):
    """What one row learned.

    Args:
        truth: (X, C) the table's last column at the true P and Q.
        estimate: (X, C) F, less the constant K(x) for the rows that have one.
        weight: (X, C) P(x, y): how often a pair is seen.
    """

    truth: Tensor
    estimate: Tensor
    weight: Tensor

    @property
    def error(self) -> float:
        """Root mean square of estimate - truth over what is seen, in nats."""
        return math.sqrt(float((self.weight * (self.estimate - self.truth) ** 2).sum()))


def language(seed: int) -> Tensor:
    """P(y|x) as (X, C) logarithms, contexts all alike in frequency."""
    generator = torch.Generator().manual_seed(seed)
    zipf = -torch.log(torch.arange(1.0, WORDS + 1))
    return (zipf + torch.randn(CONTEXTS, WORDS, generator=generator)).log_softmax(dim=1)


def frequency_sampler(frequencies: Tensor, seed: int, negatives: int = NEGATIVES) -> Sampler:
    """Draws with replacement in proportion to the words' frequencies."""
    return Unigram(frequencies, negatives, per_row=True, seed=seed)


def uniform_sampler(frequencies: Tensor, seed: int) -> Sampler:
    """Different words, all alike."""
    return Uniform(len(frequencies), NEGATIVES, replacement=False, per_row=True, seed=seed)


def train(
    objective: Objective,
    seed: int = 0,
    *,
    make_sampler: Callable[[Tensor, int], Sampler] | None = None,
    remove_hits: bool | None = None,
) -> Result:
    """Train one row to convergence; its rate falls to zero, so the noise of single steps averages out."""
    log_p = language(seed)
    table = log_p.exp()
    if make_sampler is None:
        make_sampler = uniform_sampler if objective is SAMPLED_SOFTMAX else frequency_sampler
    sampler = make_sampler(table.mean(dim=0), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    weight = torch.full((WORDS, CONTEXTS), -math.log(WORDS), requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / STEPS) ** 1.5)
    contexts = torch.eye(CONTEXTS)
    for _ in range(STEPS):
        x = torch.randint(CONTEXTS, (BATCH,), generator=generator)
        y = torch.multinomial(table[x], 1, generator=generator)[:, 0]
        if objective.negatives.sampled:
            loss = sampled_loss(objective, contexts[x], weight, sampler.draw(y), remove_hits=remove_hits)
        else:
            loss = full_loss(objective, contexts[x], weight, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    log_q = sampler.log_expected_count(torch.arange(WORDS))
    objective = objective.for_sample(sampler.sample_size(), WORDS)
    truth, estimate = objective.logits(log_p, log_q), weight.detach().T
    if objective.approximates.has_constant:
        # K(x) is found as what brings the mean of F, over the words of the context, to that of log P.
        estimate = estimate - (table * (estimate - truth)).sum(dim=1, keepdim=True)
    return Result(truth, estimate, table / CONTEXTS)


def panel(name: str, result: Result, left: float, top: float) -> list[str]:
    """One panel: a point a pair (x, y), as large as it is frequent, over the line of equality."""
    size, low = 230.0, float(result.truth.min()) - 0.5
    scale = size / (float(result.truth.max()) + 0.5 - low)

    def place(x: float, y: float) -> tuple[str, str]:
        return f"{left + (x - low) * scale:.1f}", f"{top + size - (y - low) * scale:.1f}"

    meaning = OBJECTIVES[name].approximates.formula
    lines = [
        f'<rect class="frame" x="{left}" y="{top}" width="{size}" height="{size}"/>',
        f'<path class="frame" d="M{left} {top + size}L{left + size} {top}"/>',
        f'<text x="{left}" y="{top - 8}" font-weight="bold">{name.replace("_", " ")}</text>',
        f'<text x="{left + size}" y="{top - 8}" text-anchor="end">rms {result.error:.3f}</text>',
        f'<text x="{left + size / 2}" y="{top + size + 32}" text-anchor="middle">{meaning}</text>',
        f'<text transform="translate({left - 26} {top + size / 2}) rotate(-90)" text-anchor="middle">F learned</text>',
    ]
    for tick in range(math.ceil(low / 2) * 2, math.floor(low + size / scale) + 1, 2):
        x, y = place(tick, tick)
        lines.append(f'<text class="tick" x="{x}" y="{top + size + 15}" text-anchor="middle">{tick}</text>')
        lines.append(f'<text class="tick" x="{left - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{tick}</text>')
    for truth, estimate, weight in zip(*(values.flatten().tolist() for values in result), strict=True):
        x, y = place(truth, estimate)
        lines.append(f'<circle cx="{x}" cy="{y}" r="{1.2 + 25 * math.sqrt(weight / math.pi):.1f}"/>')
    return lines


def draw(results: dict[str, Result], path: Path) -> None:
    """Write the figure, a panel a row of the table."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 '
        f'{10 + 310 * math.ceil(len(results) / 3)}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#222}.tick{font-size:11px;fill:#777}.frame{fill:none;stroke:#aaa}circle{fill:#2a6fb0;"
        "fill-opacity:.55}svg{background:#fff}</style>",
    ]
    for index, (name, result) in enumerate(results.items()):
        lines += panel(name, result, 50 + 290 * (index % 3), 40 + 310 * (index // 3))
    path.write_text("\n".join([*lines, "</svg>\n"]), encoding="utf-8")


def gradients(seed: int) -> None:
    """Print how far the gradients of sampled and of refined softmax are from the exact one, and how much is bias."""
    generator = torch.Generator().manual_seed(seed + 1)
    x = 0.7 * torch.randn(64, 16, generator=generator, dtype=torch.float64)
    weight = 0.5 * torch.randn(2000, 16, generator=generator, dtype=torch.float64)
    p = (x @ weight.T).softmax(dim=1)
    given = torch.multinomial(p, 1, generator=generator)[:, 0]
    sampler = {"frequency": functools.partial(Unigram, 1e5 * p.mean(dim=0) + 1)}
    print(f"{'objective':<19}{'true classes':<14}{'negatives':<11}{'error':<8}bias")
    for name in ("sampled_softmax", "refined_softmax"):
        for kind, targets in (("given", given), ("of P", None)):
            options = {"estimator": name, "targets": targets, "repeats": 200, "seed": seed + 1, "progress": False}
            for at in gradient_error(x, weight, sampler, [16, 64, 256], **options)["frequency"]:
                error, bias = at.relative_error.value, at.bias.value
                print(f"{name:<19}{kind:<14}{at.num_sampled:<11}{error:<8.3f}{bias:.3f}", flush=True)


def main() -> None:
    """Run all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--gradients", action="store_true", help="measure gradients instead of what is learned")
    arguments = parser.parse_args()
    if arguments.gradients:
        gradients(arguments.seed)
        return
    results = {}
    print(f"{'objective':<19}{'F approximates':<22}{'negatives':<34}rms error, nats")
    for name, objective in OBJECTIVES.items():
        results[name] = train(objective, arguments.seed)
        distribution = "uniform, without replacement" if objective is SAMPLED_SOFTMAX else "frequency, with replacement"
        distribution = distribution if objective.negatives.sampled else "all"
        print(
            f"{name:<19}{OBJECTIVES[name].approximates.formula:<22}{distribution:<34}{results[name].error:.4f}",
            flush=True,
        )
    for distribution, remove_hits in (("hits kept", False), ("hits removed: biased", True)):
        result = train(SAMPLED_SOFTMAX, arguments.seed, make_sampler=frequency_sampler, remove_hits=remove_hits)
        name, distribution = SAMPLED_SOFTMAX.name, f"frequency, {distribution}"
        print(f"{name:<19}{OBJECTIVES[name].approximates.formula:<22}{distribution:<34}{result.error:.4f}", flush=True)
    for negatives in (4 * NEGATIVES, 16 * NEGATIVES):
        many = functools.partial(frequency_sampler, negatives=negatives)
        result = train(REFINED_SOFTMAX, arguments.seed, make_sampler=many)
        name, distribution = REFINED_SOFTMAX.name, f"frequency, {negatives} negatives"
        print(f"{name:<19}{OBJECTIVES[name].approximates.formula:<22}{distribution:<34}{result.error:.4f}", flush=True)
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
