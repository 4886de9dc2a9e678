"""ShardedClassTable: class weights of which each process holds, and updates, a part."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from logq._arguments import ArgumentError, check_int
from logq.candidates import as_columns
from logq.distributed.fetched_rows import RowRequest, bring_rows
from logq.distributed.moved_queries import all_told, best_of_all, log_normalizers
from logq.distributed.sharded_losses import by_queries, loss_of_table
from logq.distributed.table_draws import TableDraws
from logq.distributed.table_part import Initial, MakeOptimizer, TablePart
from logq.graph_breaks import outside_of_graphs
from logq.kernels.logits import logits
from logq.nn.best_classes import TopK
from logq.nn.class_table import ClassTable, LossSettings
from logq.objectives import FULL_SOFTMAX
from logq.optim import RowOptimizer, RowWiseAdagrad
from logq.processes import Group
from logq.shapes import check_ids, check_shape

__all__ = ["ShardedClassTable"]


class ShardedClassTable(ClassTable):
    """Class weights (C, D) and biases (C,) of which each process holds, and updates, a part: rows, biases, states.

    It takes the place of the sizes in the losses of logq.nn:

        loss = SampledSoftmaxLoss(table, Stratified(Unigram(counts, 8192)))
        loss(query, targets).backward()         # each process with its own batch, which may be empty
        table.step()                            # and the optimizer of what makes the queries

    A step moves the rows of its targets, with their biases and log Q, from their owners, a sample to all processes, and
    gradients back. Where the queries of all processes are fewer than the sample, and for losses over all classes, the
    queries go to the rows instead (`explain`). Every process has to call the same methods in the same order.

    A sampler that draws one sample of all classes is in a Stratified, so that each process draws from its own rows.
    Samplers that draw from the batch or for each row are as with other weights, also in a Mixture with a Stratified:

        InBatch(C, counts=counts, group="world")                # the targets of all processes; "node", n, None
        Mixture([InBatch(C, group="node"), Stratified(Uniform(C, 8192))])

    They are whole in each process: InBatch and CrossBatch keep 4 bytes of each class where they have counts, and 16
    where they learn. What they learn is of the targets of all processes, if the table is of all. With them rows always
    go to the queries.

    The loss is a mean over the targets of all processes: each process gets its share of that times W, so that the
    average over the processes is the loss of the joined batch. Gradients are averaged as well, those of the table here
    and those of other parameters by DistributedDataParallel or fully_shard. A step is then that of one process with the
    joined batch. With reduction="sum" or "none" they are averaged likewise.

    The table is no module and has no parameters for others to see: it updates itself.

    Args:
        num_classes: C, of all processes together.
        dim: D.
        optimizer: makes the optimizer of own rows and biases: one of logq.optim, such as LazyAdam or
            partial(LazyAdam, lr=0.01). Learning rates are set, by a scheduler too, in `table.optimizer`.
        group: the processes; None for all.
        bias: whether classes have one. It starts as in CandidateLoss.
        init: (N,) classes -> (N, D), their first rows; None draws them uniformly from +-1/sqrt(D). Either way they do
            not depend on the number of processes, and no process ever has more than its own.
        seed: of the first rows; the same in all processes.
        file: a path, for a table that is larger than memory: rows and states of the optimizer lie in files that begin
            with it, which are written over, and the operating system keeps in memory what is in use. Adagrad and
            LazyAdam have as large a state as the rows, RowWiseAdagrad one number for each. They take
            their room on disk at once.
        plan: "rows" or "queries", to have a step with a Stratified move one of them whatever it costs; None for the
            cheaper one.
        device, dtype: of the rows, torch's defaults if None. The backend of the group must carry them: gloo for the
            CPU, nccl for GPUs.
        progress: of filling the table, as elsewhere: True, False, or None for a terminal.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described.

    References:
        An et al., Partial FC: Training 10 Million Identities on a Single Machine, 2020, arXiv:2010.05222: classes split
        over processes. Naumov et al., Deep Learning Recommendation Model, 2019, arXiv:1906.00091: tables exchanged row
        by row beside replicas of everything else.

    Example:
        >>> from functools import partial
        >>> from logq.nn import SampledSoftmaxLoss
        >>> from logq.distributed import Stratified
        >>> from logq.samplers import LogUniform
        >>> table = ShardedClassTable(100_000, 8, partial(RowWiseAdagrad, lr=5.0))
        >>> loss = SampledSoftmaxLoss(table, Stratified(LogUniform(100_000, 64, seed=1)))
        >>> loss(torch.ones(2, 8), torch.tensor([3, 3])).backward()
        >>> table.step()
        >>> scores, ids = table.topk(torch.ones(1, 8), 1)
        >>> ids
        tensor([[3]])
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        optimizer: MakeOptimizer = RowWiseAdagrad,
        *,
        group: Group = None,
        bias: bool = True,
        init: Initial | None = None,
        seed: int = 0,
        file: str | os.PathLike[str] | None = None,
        plan: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        progress: bool | None = None,
    ) -> None:
        if plan not in (None, "rows", "queries"):
            raise ArgumentError("plan", "'rows', 'queries' or None", plan)
        self.plan = plan
        options: dict[str, Any] = {"bias": bias, "init": init, "seed": seed, "file": file, "group": group}
        options |= {"device": device, "dtype": dtype, "progress": progress}
        self.part = TablePart(check_int("num_classes", num_classes), dim, optimizer, **options)
        super().__init__(self.part.placing.num_classes, self.part.dim)

    @property
    def optimizer(self) -> RowOptimizer:
        """That of the own rows and biases, for learning rates and schedulers."""
        return self.part.optimizer

    def own_ids(self) -> Tensor:
        """(n,) the classes that this process owns, in the order of its rows."""
        return self.part.placing.ids_of(self.part.rank)

    @outside_of_graphs
    def rows(self, ids: Tensor) -> Tensor:
        """The rows of classes, whose gradients go back to their owners: the table as an embedding.

        Args:
            ids: int64 of any shape.

        Returns:
            (*ids, D).
        """
        check_ids("ids", ids, self.num_classes)
        request = RowRequest.of(self.part, ids.flatten())
        weight = bring_rows(self.part, request).weight
        return weight[request.inverse].view(*ids.shape, self.dim)

    def step(self) -> None:
        """Update the own rows that have a gradient; see TablePart.step."""
        self.part.step()

    def zero_grad(self) -> None:
        """Forget the gradients that came since the last step, as for a step that is left out."""
        self.part.zero_grad()

    @outside_of_graphs
    def topk(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k classes with the largest inner products with each query, bias included.

        Each process searches its own rows for the queries of all, a chunk at a time, and sends its k best; a process
        gets the k best of all for its own queries.

        Args:
            query: (B, D) of this process; B may differ from process to process, and be 0.
            k: at most C.

        Returns:
            (B, k) scores, falling, and (B, k) int64 classes.
        """
        check_shape("query", query, "BD", {"D": self.dim})
        if check_int("k", k) > self.num_classes:
            raise ArgumentError("k", f"at most C = {self.num_classes}", k)
        settings, draws, batches = self._readout(LossSettings(FULL_SOFTMAX, None), query)
        found = best_of_all(self.part, settings, draws, query, batches, k)
        return found.log_p, found.ids

    def explain(self, batch: int, num_sampled: int) -> str:
        """What a step of a loss with a sampler moves between processes, and why.

        Args:
            batch: B of all processes together.
            num_sampled: S.

        Example:
            >>> ShardedClassTable(100, 8).explain(64, 4096)
            'one process, which has all rows: nothing is moved'
        """
        if self.part.size == 1:
            return "one process, which has all rows: nothing is moved"
        queries = by_queries(num_sampled, batch, self.part.size) if self.plan is None else self.plan == "queries"
        width = self.dim * self.part.weight.element_size()
        told = [
            f"{2 * number * width:,} bytes of {name} and gradients"
            for number, name in ((num_sampled, "sampled rows"), (batch, "queries"))
        ]
        moved, other = reversed(told) if queries else told
        why = "as plan says" if self.plan is not None else "the fewer"
        return f"{'queries go to the rows' if queries else 'rows go to the queries'}: {moved}, against {other}; {why}"

    def sharded_state(self) -> dict[str, Any]:
        """For logq.distributed.Checkpoint: the own rows, biases and states, in the order of places."""
        return self.part.sharded_state()

    def load_sharded_state(self, state: Mapping[str, Any]) -> None:
        """Take over what beside the tensors of `sharded_state` was saved.

        Raises:
            ArgumentError: the rows were placed in another way.
        """
        self.part.load_sharded_state(state)

    def join(self, settings: LossSettings) -> None:
        """As ClassTable; checks that are left for the losses are theirs."""
        objective, sampler = settings.objective, settings.sampler
        if sampler is not None:
            TableDraws(self.part, sampler).join()
        if self.part.bias is not None and self.part.is_new:
            with torch.no_grad():
                self.part.bias.fill_(objective.start(self.num_classes)).mul_(settings.temperature)

    @outside_of_graphs
    def loss_of(
        self,
        settings: LossSettings,
        input: Tensor,
        targets: Tensor,
        row_weight: Tensor | None,
        extra_negatives: Tensor | None,
    ) -> Tensor:
        """As ClassTable."""
        return loss_of_table(self.part, settings, input, targets, row_weight, extra_negatives, self.plan)

    @outside_of_graphs
    def log_prob_of(self, settings: LossSettings, input: Tensor, targets: Tensor) -> Tensor:
        """As ClassTable."""
        check_shape("input", input, "BD", {"D": self.dim})
        check_ids("targets", targets, self.num_classes, ignore_index=settings.ignore_index)
        settings, draws, batches = self._readout(settings, input)
        is_true = as_columns(targets != settings.ignore_index)
        request = RowRequest.of(self.part, as_columns(targets)[is_true])
        step = bring_rows(self.part, request, tell=None if draws is None else draws.own_log_expected_count)
        places = as_columns(targets).masked_fill(~is_true, 0).masked_scatter(is_true, request.inverse)
        total = None
        if settings.objective.approximates.normalized:
            every = torch.arange(len(self.part.own), device=input.device)
            log_q = None if draws is None else draws.own_log_expected_count(every)
            total = log_normalizers(self.part, settings, input, batches, log_q)
        if not len(request.rows):
            return input.new_zeros(targets.shape)
        bias = None if step.bias is None else step.bias[places]
        some = logits(input, step.weight[places], bias, temperature=settings.temperature, cosine=settings.cosine)
        log_p = settings.objective.log_p(some, None if step.log_q is None else step.log_q[places])
        log_p = log_p if total is None else log_p - total[:, None]
        return log_p.where(is_true, 0.0).view(targets.shape)

    @outside_of_graphs
    def topk_of(self, settings: LossSettings, input: Tensor, k: int) -> TopK:
        """As ClassTable."""
        settings, draws, batches = self._readout(settings, input)
        return best_of_all(self.part, settings, draws, input, batches, k).of_all(settings.objective)

    def _readout(self, settings: LossSettings, input: Tensor) -> tuple[LossSettings, TableDraws | None, list[int]]:
        """Settings with the rate of the sampler, the sampler if log P needs its Q now, and the batches of all."""
        objective = settings.objective
        draws = None if settings.sampler is None else TableDraws(self.part, settings.sampler)
        told = all_told(self.part, len(input), *([] if draws is None else draws.numbers()))
        if draws is not None:
            objective = objective.for_sample(draws.agree(told[:, 1:]), self.num_classes)
        settings = settings._replace(objective=objective)
        return settings, draws if objective.approximates.uses_q else None, told[:, 0].long().tolist()
