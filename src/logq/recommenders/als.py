"""ALS: matrix factorization of implicit feedback by alternating least squares; Hu, Koren and Volinsky, 2008."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError
from logq._progress import Progress
from logq.logs.interactions import Interactions
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.ranking.recommender import Recommender
from logq.training.callbacks import Learned
from logq.training.config import Above, AtLeast, Help, TriedValues, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig, Seed
from logq.training.seeds import Seeds, fresh_seed

__all__ = ["ALS", "ALSConfig", "Confidences", "solve"]

NUMBERS = 1 << 22
"""Numbers of a block of regressions, 16 MB each of matrices and of gathered vectors."""


@configclass(group="Model")
class ALSConfig(DeviceConfig):
    """The arguments of ALS.

    Example:
        >>> ALSConfig(32, alpha=10).epochs
        15
    """

    dim: Annotated[int, AtLeast(1), TriedValues(16, 256), Help("Dimension of the vectors.", aliases=("factors",))] = (
        field(default=64, kw_only=False)
    )
    regularization: Annotated[
        float, Above(0), TriedValues(0.1, 1000), Help("L2 penalty of the vectors; larger for logs with many events.")
    ] = 10.0
    alpha: Annotated[
        float,
        Above(0),
        TriedValues(0.5, 100),
        Help("Weight of an event, beside 1 of every pair of a user and an item, done or not."),
    ] = 10.0
    epochs: Annotated[
        int, AtLeast(1), Help("Times that all users and all items are solved for.", aliases=("iterations",))
    ] = 15
    seed: Seed = None


class ALS(ALSConfig, Recommender):
    """Vectors of users and items whose products are near 1 where a user did an item, and near 0 elsewhere.

        sum over all u, i of c_ui (p_ui - <x_u, y_i>)^2 + regularization ( sum_u |x_u|^2 + sum_i |y_i|^2 )
        p_ui = 1 if r_ui > 0 else 0,   c_ui = 1 + alpha r_ui,   r_ui = number of events of u with i
        score(u, i) = <x_u, y_i>

    Given the vectors of all items, the best vector of a user is a regression with a closed form, and the other way
    round; an epoch solves for all users and then for all items, exactly, by Cholesky's method:

        x_u = (Y'Y + Y' (C_u - I) Y + regularization I)^-1 Y' C_u p_u

    A pass costs D^2 for each event and D^3 for each user and item. Vectors of users are not kept: a user of the log and
    a new history alike get theirs by that regression when they are asked about, in the order of D^2 a distinct item.
    Validation parts are not used. `similar_items` compares y by cosine.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ArgumentError for a penalty
            that is too small to tell vectors of this log apart.

    References:
        Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.

    Example:
        >>> log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["nail", "saw"]] * 5)
        >>> model = ALS(2, seed=1).fit(log, progress=False)
        >>> model.recommend(histories=["nail"], k=1).items.tolist(), model.similar_items("tea", k=1).items.tolist()
        (['saw'], ['cup'])
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.item_factors = torch.zeros(0, self.dim)  # Y (C, D)
        self._gram = torch.zeros(self.dim, self.dim)  # Y'Y

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        by_user = Confidences.of(np.asarray(log.users, dtype=np.int64), np.asarray(log.items), log.num_users)
        by_item = Confidences.of(np.asarray(log.items, dtype=np.int64), np.asarray(log.users), log.num_items)
        self._settle(self._start(log.num_items, Seeds.of(fresh_seed(self.seed)).weights))
        total = self.epochs * (log.num_users + log.num_items)
        best = options.callbacks.best_of(0)
        learned = Learned(lambda: {"item_factors": self.item_factors})  # which an epoch replaces
        with Progress(total, "regressions", "ALS", options.progress) as bar:
            for epoch in range(1, self.epochs + 1):
                users = self._solved(by_user, self.item_factors, self._gram, bar)
                self._settle(self._solved(by_item, users, users.T @ users, bar))
                if options.callbacks.epoch_done(epoch, epoch, {"epoch": epoch}, learned):
                    break
        if best is not None and best.best:
            self._settle(best.best["item_factors"])
        options.callbacks.let_go()

    def _start(self, num_items: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(num_items, self.dim, generator=generator) * (0.1 / self.dim**0.5)

    def _settle(self, item_factors: Tensor) -> None:
        self.item_factors = item_factors.to(self.device)
        self._gram = self.item_factors.T @ self.item_factors

    def _solved(self, rows: "Confidences", others: Tensor, gram: Tensor, bar: Progress | None = None) -> Tensor:
        """(n, D), the best vectors of some users given those of the items, or the other way round."""
        found = others.new_zeros(len(rows.offsets) - 1, self.dim)
        for some in rows.blocks(self.dim):
            found[torch.from_numpy(some).to(self.device)] = solve(
                rows, some, others, gram, alpha=self.alpha, regularization=self.regularization
            )
            if bar is not None:
                bar.advance(len(some))
        return found

    def _queries(self, histories: Histories) -> Tensor:
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        return self._solved(Confidences.of(owners, histories.items, len(histories)), self.item_factors, self._gram)

    def _item_rows(self) -> Tensor:
        return self.item_factors

    def _contributions(self, history: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        # x_u is a sum over events, as in section 5 of the paper; those of an item share its confidence.
        rows = Confidences.of(np.zeros_like(history), history, 1)
        arguments = {"alpha": self.alpha, "regularization": self.regularization}
        matrix = _normal_equations(rows, np.arange(1), self.item_factors, self._gram, **arguments)[0][0]
        asked = torch.cholesky_solve(self.item_factors[torch.from_numpy(items)].T, torch.linalg.cholesky(matrix))
        shares = 1 / rows.counts[np.searchsorted(rows.columns, history)] + self.alpha
        done = torch.from_numpy(shares)[:, None].to(self.device) * self.item_factors[torch.from_numpy(history)]
        return (done @ asked).cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, by name."""
        return {"item_factors": self.item_factors.cpu().numpy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        factors, shape = state["item_factors"], (self.known.num_items, self.dim)
        if factors.dtype != np.float32 or factors.shape != shape:
            raise ValueError(f"expected 'item_factors' float32 {shape}, got {factors.dtype} {factors.shape}")
        self._settle(torch.from_numpy(factors))


class Confidences:
    """How often each row did each column, row by row, each pair once: r of the formula.

    Args:
        columns: of all pairs, those of a row side by side.
        counts: number of events of each pair.
        offsets: (n + 1,) where each row begins.

    Example:
        >>> found = Confidences.of(np.array([0, 0, 0, 2]), np.array([5, 7, 5, 7]), 3)
        >>> found.columns.tolist(), found.counts.tolist(), found.offsets.tolist()
        ([5, 7, 7], [2.0, 1.0, 1.0], [0, 2, 2, 3])
    """

    def __init__(self, columns: NDArray[np.int64], counts: NDArray[np.float32], offsets: NDArray[np.int64]) -> None:
        self.columns, self.counts, self.offsets = columns, counts, offsets

    @classmethod
    def of(cls, rows: NDArray[np.int64], columns: NDArray[np.integer[Any]], height: int) -> "Confidences":
        """Count pairs in any order."""
        width = int(columns.max(initial=0)) + 1
        pairs, counts = np.unique(rows * width + columns, return_counts=True)
        rows, found = np.divmod(pairs, width)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=height))])
        return cls(found, counts.astype(np.float32), offsets)

    def blocks(self, dim: int) -> Iterator[NDArray[np.int64]]:
        """The rows that have any pair, those of about the same length together, in blocks for `solve`."""
        lengths = np.diff(self.offsets)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        begin = 0
        while begin < len(order):
            longest = max(dim, int(lengths[order[begin]]))
            end = begin + max(1, NUMBERS // (longest * dim))
            yield order[begin:end]
            begin = end


def solve(
    rows: Confidences,
    some: NDArray[np.int64],
    others: Tensor,
    gram: Tensor,
    *,
    alpha: float,
    regularization: float,
) -> Tensor:
    """(m, D), the vectors of some rows that minimize ALS's loss, given those of the columns.

    Args:
        rows: of all rows.
        some: (m,) which ones.
        others: Y (C, D), the vectors of the columns.
        gram: Y'Y (D, D).
        alpha: weight of an event.
        regularization: of the vectors.

    Example:
        >>> one = Confidences.of(np.array([0]), np.array([0]), 1)
        >>> y = torch.tensor([[2.0]])  # c = 1 + 3: x = (4 + (4 - 1) 4 + 16)^-1 2 * 4
        >>> solve(one, np.array([0]), y, y.T @ y, alpha=3.0, regularization=16.0)
        tensor([[0.2500]])
    """
    matrices, sums = _normal_equations(rows, some, others, gram, alpha=alpha, regularization=regularization)
    factors, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        hint = "rounded to float32 the regression of a vector has no single solution"
        raise ArgumentError("regularization", "a larger penalty for this log", regularization, hint)
    return torch.cholesky_solve(sums[:, :, None], factors)[:, :, 0]


def _normal_equations(
    rows: Confidences,
    some: NDArray[np.int64],
    others: Tensor,
    gram: Tensor,
    *,
    alpha: float,
    regularization: float,
) -> tuple[Tensor, Tensor]:
    """The matrices (m, D, D) and right sides (m, D) of what `solve` solves."""
    dim = others.shape[1]
    lengths = np.diff(rows.offsets)[some]
    matrices = gram.repeat(len(some), 1, 1)
    matrices.diagonal(dim1=1, dim2=2).add_(regularization)
    sums = gram.new_zeros(len(some), dim)
    longest = int(lengths.max(initial=0))
    # A row that is longer than a block, such as the users of a popular item, goes in parts.
    step = max(1, NUMBERS // (len(some) * dim))
    for begin in range(0, longest, step):
        columns = np.arange(begin, min(longest, begin + step))
        inside = columns < lengths[:, None]
        at = np.where(inside, rows.offsets[some][:, None] + columns, 0)
        weights = torch.from_numpy(np.where(inside, alpha * rows.counts[at], 0).astype(np.float32)).to(others.device)
        chosen = others[torch.from_numpy(rows.columns[at]).to(others.device)]
        matrices.baddbmm_((chosen * weights[:, :, None]).transpose(1, 2), chosen)
        sums += ((weights + torch.from_numpy(inside).to(weights))[:, None] @ chosen)[:, 0]
    return matrices, sums
