"""The losses as a student would write them: loops over Python floats, straight from the table, no code of logq."""

import math

from torch import Tensor

LOGISTIC = {"gbce", "negative_sampling", "nce", "sampled_logistic", "full_logistic"}
SUBTRACTS_LOG_Q = {"nce", "sampled_logistic", "sampled_softmax", "refined_softmax"}
REMOVES_HITS = {"gbce", "sampled_logistic", "sampled_softmax", "refined_softmax", "full_logistic", "full_softmax"}


def log_one_plus_exp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(xs: list[float]) -> float:
    largest = max(xs)
    return largest + math.log(sum(math.exp(x - largest) for x in xs))


def logit(x: list[float], w: list[float], b: float, temperature: float, cosine: bool) -> float:
    score = sum(i * j for i, j in zip(x, w, strict=True))
    if cosine:
        score /= math.hypot(*x) * math.hypot(*w)
    return (score + b) / temperature


def row_loss(name: str, positives: list[float], negatives: list[float], beta: float = 1.0) -> float:
    """Of the logits G of a row, hits removed and log Q subtracted."""
    if not positives:
        return 0.0
    if name in LOGISTIC:
        return beta * sum(log_one_plus_exp(-g) for g in positives) + sum(log_one_plus_exp(g) for g in negatives)
    (positive,) = positives
    return log_sum_exp([positive, *negatives]) - positive


def losses(
    name: str,
    input: Tensor,
    weight: Tensor,
    candidates,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    cosine: bool = False,
    remove_hits: bool | None = None,
    ignore_index: int = -100,
) -> list[float]:
    """One loss a row of any objective; full ones look at the targets of the candidates only."""
    if remove_hits is None:
        remove_hits = name in REMOVES_HITS
    xs, ws = input.tolist(), weight.tolist()
    bs = [0.0] * len(ws) if bias is None else bias.tolist()
    every = list(range(len(ws)))
    result = []
    for i, x in enumerate(xs):
        true, true_log_q = candidates.targets[i].tolist(), candidates.true_log_expected_count[i].tolist()
        if not isinstance(true, list):
            true, true_log_q = [true], [true_log_q]
        if name.startswith("full"):
            sampled, log_q = every, [0.0] * len(every)
        elif candidates.ids.dim() == 1:
            sampled, log_q = candidates.ids.tolist(), candidates.log_expected_count.tolist()
        else:
            sampled, log_q = candidates.ids[i].tolist(), candidates.log_expected_count[i].tolist()
        minus = 1.0 if name in SUBTRACTS_LOG_Q else 0.0
        positives, negatives = [], []
        for y, q in zip(true, true_log_q, strict=True):
            if y != ignore_index:
                of_true = minus and name != "refined_softmax"
                positives.append(logit(x, ws[y], bs[y], temperature, cosine) - (q if of_true else 0.0))
        for s, (y, q) in enumerate(zip(sampled, log_q, strict=True)):
            left_out = (
                candidates.excluded is not None and not name.startswith("full") and bool(candidates.excluded[i, s])
            )
            if not left_out and not (remove_hits and y in true):
                negatives.append(logit(x, ws[y], bs[y], temperature, cosine) - (minus * q if minus else 0.0))
        beta = 1.0
        if name == "gbce":
            a, t = min(1.0, max(1, len(sampled)) / max(1, len(ws) - 1)), 0.75
            beta = a * (t * (1 - 1 / a) + 1 / a)
        result.append(row_loss(name, positives, negatives, beta))
    return result
