"""What several processes do with a ShardedClassTable, for tests: steps from batches that everybody can make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from logq import nn as losses
from logq.distributed import Checkpoint, ShardedClassTable, Stratified, write_vector_shards
from logq.optim import SGD, Adagrad, LazyAdam, RowWiseAdagrad
from logq.processes import traffic, world
from logq.samplers import LearnedUnigram, LogUniform, Proposal, Uniform, Unigram

C, D, S, FEATURES = 20_011, 8, 48, 5

OPTIMIZERS = {
    "SGD": partial(SGD, lr=0.3, weight_decay=0.01),
    "Adagrad": partial(Adagrad, lr=0.1, initial_accumulator_value=0.01),
    "RowWiseAdagrad": partial(RowWiseAdagrad, lr=0.1, initial_accumulator_value=0.01),
    "LazyAdam": partial(LazyAdam, lr=0.02),
}
SAMPLED = {
    "sampled_softmax": losses.SampledSoftmaxLoss,
    "refined_softmax": losses.RefinedSoftmaxLoss,
    "nce": losses.NCELoss,
    "negative_sampling": losses.NegativeSamplingLoss,
    "sampled_logistic": losses.SampledLogisticLoss,
    "gbce": losses.GBCELoss,
}
FULL = {"full_softmax": losses.FullSoftmaxLoss, "full_logistic": losses.FullLogisticLoss}
SAMPLERS: dict[str, Callable[..., Proposal]] = {
    "uniform": Uniform,
    "uniform-distinct": partial(Uniform, replacement=False),
    "log_uniform": LogUniform,
    "unigram": lambda _, num_sampled, **options: Unigram(counts(), num_sampled, power=0.75, **options),
    "learned_unigram": LearnedUnigram,
}


@dataclass(frozen=True)
class Case:
    """A loss, an optimizer, a sampler and a plan, and how long they train."""

    objective: str
    optimizer: str
    sampler: str | None = None
    plan: str | None = None
    steps: int = 3
    dtype: torch.dtype = torch.float64
    extra: bool = False
    weighted: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    cut_tower: bool = False

    @property
    def several(self) -> bool:
        """Whether rows have several true classes."""
        return "softmax" not in self.objective


def counts() -> Tensor:
    return ((torch.arange(C) + 1.0).reciprocal() * 1e6).double()


def first_rows(ids: Tensor) -> Tensor:
    """A function of the class alone."""
    mixed = (ids[:, None] * 7919 + torch.arange(D)[None] * 104729) % 10007
    return (mixed.double() / 10007 - 0.5) * 0.5


def sizes(step: int, size: int) -> list[int]:
    """Rows of each process: unequal, and none in some steps."""
    return [(7 + 6 * rank) if (step + rank) % 3 or size == 1 else 0 for rank in range(size)]


@dataclass
class Batch:
    features: Tensor
    targets: Tensor
    row_weight: Tensor | None
    extra: Tensor | None


def batch(case: Case, step: int, size: int) -> Batch:
    """That of all processes together."""
    generator = torch.Generator().manual_seed(step)
    number = sum(sizes(step, size))
    features = torch.randn(number, FEATURES, generator=generator, dtype=torch.float64).to(case.dtype)
    shape = (number, 2) if case.several else (number,)
    # Frequent ones mostly, so that some are sampled, some are shared by processes, and some rows have a class twice.
    targets = (torch.rand(shape, generator=generator).pow(6) * C).long()
    targets[targets % 7 == 3] = -100
    weight = torch.rand(number, generator=generator).to(case.dtype) if case.weighted else None
    extra = torch.randint(-1, 40, (number, 3), generator=generator) if case.extra else None
    return Batch(features, targets, weight, extra)


def part_of(given: Batch, step: int, rank: int, size: int) -> Batch:
    def own(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.split(sizes(step, size))[rank]

    return Batch(own(given.features), own(given.targets), own(given.row_weight), own(given.extra))


def tower(dtype: torch.dtype) -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(FEATURES, D, dtype=dtype)


def made(case: Case, table: Any, width: int | None = None) -> Any:
    options = dict(case.options)
    if case.sampler is None:
        return FULL[case.objective](table, **options)
    sampler = Stratified(SAMPLERS[case.sampler](C, S, seed=5, dtype=torch.float64))
    return SAMPLED[case.objective](table, sampler, **options)


def train(case: Case, file: str | None = None) -> dict[str, Any]:
    """What one process has at the end, and what it drew."""
    rank, size = world().rank, world().size
    table = ShardedClassTable(
        C,
        D,
        OPTIMIZERS[case.optimizer],
        init=first_rows,
        file=file,
        dtype=case.dtype,
        plan=case.plan,
        progress=False,
    )
    loss, net = made(case, table), tower(case.dtype)
    query: Any = net
    if size > 1:
        query = fully_shard(net) if case.cut_tower else DistributedDataParallel(net)
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    drawn: list[Tensor] = []
    if case.sampler is not None:
        inner = loss.sampler.draw_own

        def draw_own(asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            found = inner(asked)
            drawn.append(table.own_ids()[found[0]])
            return found

        loss.sampler.draw_own = draw_own
    values = []
    for step in range(case.steps):
        own = part_of(batch(case, step, size), step, rank, size)
        more = {} if own.extra is None else {"extra_negatives": own.extra}
        value = loss(query(own.features), own.targets, own.row_weight, **more)
        value.backward()
        values.append(float(value.detach()))
        table.step()
        descent.step()
        descent.zero_grad()
    part = table.part
    tower_weight: Any = net.weight.detach()
    return {
        "ids": table.own_ids(),
        "weight": part.weight.detach(),
        "bias": part.parameters()[1].detach(),
        "states": [dict(table.optimizer.state[parameter]) for parameter in part.parameters()],
        "tower": tower_weight.full_tensor() if case.cut_tower else tower_weight,
        "drawn": drawn,
        "losses": values,
    }


def one_step(case: Case, width: int, batch_size: int, num_sampled: int) -> dict[str, Any]:
    """The bytes that this process sends in a step, and what a formula for them needs."""
    rank = world().rank
    table = ShardedClassTable(C, width, plan=case.plan, progress=False)
    loss = SAMPLED[case.objective](table, Stratified(SAMPLERS[str(case.sampler)](C, num_sampled, seed=5)))
    generator = torch.Generator().manual_seed(rank)
    targets = (torch.rand(batch_size, generator=generator).pow(6) * C).long()
    query = torch.randn(batch_size, width, generator=generator, requires_grad=True)
    with traffic() as sent:
        loss(query, targets).backward()
    own = set(table.own_ids().tolist())
    table.step()
    return {"sent": sent.bytes_sent, "foreign": len(set(targets.tolist()) - own), "explained": table.explain(50, 99)}


def readouts() -> dict[str, Any]:
    """What is read off a table after training, beside a module of one process with the same weights."""
    rank = world().rank
    found: dict[str, Any] = {}
    log_q, _ = OneProcess(Case("nce", "SGD", "unigram"), world().size).expected_counts()
    weight, bias = first_rows(torch.arange(C)), torch.randn(C, generator=torch.Generator().manual_seed(1)).double()
    for name in SAMPLED | FULL:
        table = ShardedClassTable(C, D, init=first_rows, dtype=torch.float64, progress=False)
        sampler = Unigram(counts(), S, power=0.75, seed=1, dtype=torch.float64)
        loss = losses.CandidateLoss(name, table, Stratified(sampler) if name in SAMPLED else None)
        alone = Unigram(log_q.exp(), S, seed=1, dtype=torch.float64) if name in SAMPLED else None
        plain = losses.CandidateLoss(name, D, C, alone, dtype=torch.float64)
        assert plain.bias is not None
        with torch.no_grad():
            table.part.parameters()[1].copy_(bias[table.own_ids()])
            plain.weight.copy_(weight)
            plain.bias.copy_(bias)
        query = 3 * torch.randn(4 * rank, D, generator=torch.Generator().manual_seed(2)).double()  # none of the first's
        some = torch.randint(0, C, (4 * rank, 2), generator=torch.Generator().manual_seed(rank))
        some[::3, 1] = -100
        with torch.no_grad():
            best, best_alone = loss.topk(query, 30), plain.topk(query, 30)
            scores, ids = table.topk(query, 7)
            exact = (query @ weight.T + bias).topk(7)
            pairs = {
                "log_prob": (loss.log_prob(query, some), plain.log_prob(query, some)),
                "best": (best.log_prob, best_alone.log_prob),
                "scores": (scores, exact.values),
            }
        found[name] = {what: float((one - other).abs().max()) if rank else 0.0 for what, (one, other) in pairs.items()}
        found[name]["ids"] = float((best.ids != best_alone.ids).sum() + (ids != exact.indices).sum())
    return found


def embedded() -> Tensor:
    """Gradients of rows that processes look up, some of them in both and twice: what a step of SGD takes off."""
    rank, size = world().rank, world().size
    table = ShardedClassTable(C, D, partial(SGD, lr=1.0), bias=False, init=first_rows, dtype=torch.float64)
    ids = torch.tensor([[5, 9 + rank], [5, 20_010]])
    rows = table.rows(ids)
    torch.testing.assert_close(rows.detach(), first_rows(ids.flatten()).view(2, 2, D), rtol=0, atol=0)
    (rows.sum() * (rank + 1)).backward()
    table.step()
    every = torch.arange(C)
    return (first_rows(every) - table.rows(every).detach()) * size


def random_start() -> Tensor:
    """The first rows, with their classes."""
    table = ShardedClassTable(C, D, seed=4, progress=False)
    return torch.cat([table.own_ids()[:, None].double(), table.part.weight.detach().double()], dim=1)


def saved(folder: str | None, load: bool, steps: int = 3) -> dict[str, Any]:
    """Train, save, go on; or load and go on: losses of the last steps and the rows after them."""
    rank, size = world().rank, world().size
    table = ShardedClassTable(C, D, OPTIMIZERS["LazyAdam"], init=first_rows, progress=False)
    sampler = Stratified(LearnedUnigram(C, S, seed=7))
    loss = losses.NCELoss(table, sampler)
    state: dict[str, Any] = {"table": table, "sampler": sampler}
    checkpoint = None if folder is None else Checkpoint(folder)

    def step(number: int) -> float:
        generator = torch.Generator().manual_seed(10 * number + rank)
        query = torch.randn(9, D, generator=generator)
        value = loss(query, (torch.rand(9, generator=generator).pow(6) * C).long())
        value.backward()
        table.step()
        return float(value.detach())

    if load and checkpoint is not None:
        checkpoint.load(**state)
    else:
        table.optimizer.param_groups[0]["lr"] = 0.5
        for number in range(steps):
            step(number)
        if checkpoint is not None:
            checkpoint.save(steps, **state)
    found = {"ids": table.own_ids(), "rows": table.part.weight.detach().clone(), "counts": sampler.mass()}
    values = [step(steps + number) for number in range(3)] if size > 1 else []
    return {**found, "losses": values, "last": table.part.weight.detach().clone()}


IN_FILES = [Case("nce", "LazyAdam", "unigram"), Case("sampled_softmax", "Adagrad", "uniform")]


def everything(cases: list[Case], folder: str | None) -> dict[str, Any]:
    """All answers of one process; without a folder of training alone."""
    found: dict[str, Any] = {"trained": [train(case) for case in cases]}
    if folder is not None:
        found["bytes"] = {
            plan: one_step(Case("sampled_softmax", "SGD", "unigram", plan), 64, 300, 512)
            for plan in ("rows", "queries")
        }
        found |= {"readouts": readouts(), "embedded": embedded(), "start": random_start()}
        found["in files"] = [train(case, f"{folder}/table") for case in IN_FILES]
        found["saved"] = [saved(f"{folder}/checkpoint", load) for load in (False, True)]
        write_vector_shards(ShardedClassTable(C, D, init=first_rows, progress=False), f"{folder}/vectors")
    return found


class OneProcess:
    """The same with one table, one batch, and expected counts by the formula of Stratified."""

    def __init__(self, case: Case, size: int) -> None:
        self.case, self.size = case, size
        self.weight = nn.Parameter(first_rows(torch.arange(C)).to(case.dtype))
        self.bias = nn.Parameter(torch.zeros(C, dtype=case.dtype))
        self.optimizer = OPTIMIZERS[case.optimizer]([self.weight, self.bias])
        self.net = tower(case.dtype)
        self.descent = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.learned = torch.ones(C, dtype=torch.float64)
        self.values: list[float] = []
        buckets = torch.arange(C) * 2531 % 4096
        order = sorted(range(C), key=lambda y: (int(buckets[y]), y))
        self.owner = torch.empty(C, dtype=torch.int64)
        self.owner[torch.tensor(order)] = torch.arange(C) // -(-C // size)

    def distribution(self) -> Tensor:
        """q up to a factor, of all classes."""
        name = self.case.sampler
        if name in ("uniform", "uniform-distinct"):
            return torch.ones(C, dtype=torch.float64)
        if name == "log_uniform":
            y = torch.arange(C, dtype=torch.float64)
            return ((y + 2) / (y + 1)).log()
        return counts() ** 0.75 if name == "unigram" else self.learned

    def expected_counts(self) -> tuple[Tensor, Tensor]:
        """log Q of all classes, and S_r of each process."""
        q = self.distribution()
        masses = torch.zeros(self.size, dtype=torch.float64).index_add_(0, self.owner, q)
        wanted = S * masses / masses.sum()
        strata = wanted.floor()
        for rank in (wanted - strata).argsort(descending=True)[: int(S - strata.sum())]:
            strata[rank] += 1
        return (strata / masses)[self.owner].mul(q).log(), strata.long()

    def step(self, number: int, drawn: list[Tensor]) -> None:
        from logq.candidates import Candidates
        from logq.functional import full_loss, sampled_loss
        from logq.objectives import OBJECTIVES

        case, given = self.case, batch(self.case, number, self.size)
        objective = OBJECTIVES[case.objective]
        options: dict[str, Any] = {"bias": self.bias, "row_weight": given.row_weight, **dict(case.options)}
        query = self.net(given.features)
        if case.sampler is None:
            loss = full_loss(objective, query, self.weight, given.targets, **options)
        else:
            log_q, strata = self.expected_counts()
            assert [len(ids) for ids in drawn] == strata.tolist()
            assert all(bool((self.owner[ids] == rank).all()) for rank, ids in enumerate(drawn))
            ids = torch.cat(drawn)
            true_log_q = log_q[given.targets.clamp(min=0)]
            candidates = Candidates(ids, log_q[ids], given.targets, true_log_q)
            loss = sampled_loss(
                objective.for_sample(S, C),
                query,
                self.weight,
                candidates,
                extra_negatives=given.extra,
                sparse=True,
                **options,
            )
            if case.sampler == "learned_unigram":
                seen = given.targets[given.targets >= 0]
                self.learned.index_add_(0, seen, torch.ones(len(seen), dtype=torch.float64))
        loss.backward()
        self.values.append(float(loss.detach()))
        for optimizer in (self.optimizer, self.descent):
            optimizer.step()
            optimizer.zero_grad()


def differences(case: Case, found: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """The largest difference of each tensor from that of one process."""
    size = len(found)
    one = OneProcess(case, size)
    start = {"nce": -torch.tensor(float(C)).double().log(), "sampled_logistic": -torch.tensor(C - 1.0).double().log()}
    start["full_logistic"] = start["sampled_logistic"]
    one.bias.data.fill_(float(start.get(case.objective, 0.0)))
    for number in range(case.steps):
        one.step(number, [each["drawn"][number] for each in found] if case.sampler else [])
    ids = torch.cat([each["ids"] for each in found])
    assert torch.equal(ids.sort().values, torch.arange(C))
    yield "rows", float((torch.cat([each["weight"] for each in found]) - one.weight.detach()[ids]).abs().max())
    yield "biases", float((torch.cat([each["bias"] for each in found]) - one.bias.detach()[ids]).abs().max())
    yield "tower", max(float((each["tower"] - one.net.weight.detach()).abs().max()) for each in found)
    means = torch.tensor([each["losses"] for each in found], dtype=torch.float64).mean(0)
    yield "losses", float((means / torch.tensor(one.values, dtype=torch.float64) - 1).abs().max())
    for place, parameter in enumerate((one.weight, one.bias)):
        for name, state in one.optimizer.state[parameter].items():
            parts = [each["states"][place][name] for each in found]
            if name == "step":
                assert all(part == state for part in parts)
            else:
                yield f"{name} {place}", float((torch.cat(parts) - state[ids]).abs().max())
    moved = float((one.weight.detach() - first_rows(torch.arange(C)).to(case.dtype)).abs().max())
    assert moved > 1e-3
