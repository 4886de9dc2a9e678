"""What processes do with a table in parts and samplers of the batch, for each row and in mixtures, for tests."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from logq.candidates import as_columns
from logq.distributed import Checkpoint, ShardedClassTable, Stratified
from logq.functional import sampled_loss
from logq.nn import CandidateLoss, SampledSoftmaxLoss
from logq.processes import traffic, world
from logq.samplers import (
    CrossBatch,
    Draw,
    InBatch,
    LearnedUnigram,
    LogUniform,
    Mixture,
    Sampler,
    Uniform,
    Unigram,
    WithinGroup,
)
from logq.samplers.kept_tensors import unpacked
from sharded_cases import OPTIMIZERS, SAMPLED

C, D, S = 101, 4, 12
COUNTS = torch.arange(C, 0, -1, dtype=torch.float64)
DOUBLE: Any = {"dtype": torch.float64}


def strata(name: str) -> Sampler:
    return Stratified(
        {
            "unigram": lambda: Unigram(COUNTS, S, seed=3, **DOUBLE),
            "log_uniform": lambda: LogUniform(C, S, seed=4, **DOUBLE),
            "learned_unigram": lambda: LearnedUnigram(C, S, seed=5, **DOUBLE),
            "distinct": lambda: Uniform(C, S, seed=6, replacement=False, **DOUBLE),
        }[name]()
    )


Make = Callable[[Any, Callable[[str], Sampler]], Sampler]
"""From the group and what makes a Stratified, or what stands for it."""

SAMPLERS: dict[str, Make] = {
    "exact": lambda group, _: InBatch(C, counts=COUNTS, group=group, **DOUBLE),
    "streaming": lambda group, _: InBatch(C, group=group, **DOUBLE),
    "some": lambda group, _: InBatch(C, counts=COUNTS, num_sampled=5, group=group, seed=4, **DOUBLE),
    "memory": lambda group, _: CrossBatch(C, 7, counts=COUNTS, group=group, **DOUBLE),
    "streaming memory": lambda group, _: CrossBatch(C, 30, group=group, **DOUBLE),
    "mixed": lambda group, make: Mixture([InBatch(C, counts=COUNTS, group=group, **DOUBLE), make("unigram")]),
    "learned": lambda group, make: Mixture([make("learned_unigram"), InBatch(C, group=group, **DOUBLE)]),
    "distinct": lambda group, make: Mixture([CrossBatch(C, 7, counts=COUNTS, group=group, **DOUBLE), make("distinct")]),
    "two": lambda _, make: Mixture([Mixture([make("unigram")]), make("log_uniform")]),
    "rows": lambda _, make: make("per row"),
    "all": lambda group, make: Mixture(
        [make("unigram"), make("market"), InBatch(C, counts=COUNTS, group=group, **DOUBLE)]
    ),
}
OF_EACH_ROW: dict[str, Callable[[], Sampler]] = {
    "per row": lambda: Unigram(COUNTS, 5, per_row=True, seed=8, **DOUBLE),
    "market": lambda: WithinGroup(COUNTS, torch.arange(C) % 3, 4, seed=9, **DOUBLE),
}


@dataclass(frozen=True)
class Case:
    """A loss, its sampler and group, and how it is trained."""

    objective: str
    sampler: str
    group: Any = "world"
    optimizer: str = "SGD"
    extra: bool = False
    weighted: bool = False
    steps: int = 3
    options: tuple[tuple[str, Any], ...] = ()


def rows_of(step: int, size: int) -> list[int]:
    """Rows of each process: unequal, and none in some steps."""
    return [(4 + 3 * rank) if (step + rank) % 3 else 0 for rank in range(size)]


class Batch:
    """That of some processes in a step."""

    def __init__(self, case: Case, step: int, size: int, members: range) -> None:
        generator = torch.Generator().manual_seed(step)
        rows = rows_of(step, size)
        shape = (sum(rows),) if "softmax" in case.objective else (sum(rows), 2)
        # Few classes, so that some come in several processes, in a row twice, or in a sample.
        targets = (torch.rand(shape, generator=generator).pow(2) * 30).long()
        targets[targets % 7 == 3] = -100
        if step == 1 and size > 1:
            targets[: rows[0]] = -100  # no row of a process has a class
        features = torch.randn(sum(rows), 3, generator=generator, dtype=torch.float64)
        weight = torch.rand(sum(rows), generator=generator, dtype=torch.float64) if case.weighted else None
        extra = torch.randint(-1, C, (sum(rows), 2), generator=generator) if case.extra else None
        first = sum(rows[: members.start])
        own = slice(first, first + sum(rows[members.start : members.stop]))
        self.features, self.targets = features[own], targets[own]
        self.row_weight = None if weight is None else weight[own]
        self.extra = None if extra is None else extra[own]

    def counted(self) -> float:
        has = (as_columns(self.targets) >= 0).any(dim=1)
        return float(has.sum() if self.row_weight is None else self.row_weight[has].sum())


def first_rows(ids: Tensor) -> Tensor:
    """A function of the class alone."""
    mixed = (ids[:, None] * 7919 + torch.arange(D)[None] * 104729) % 10007
    return (mixed.double() / 10007 - 0.5) * 0.5


def tower() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(3, D, dtype=torch.float64)


def in_batch_of(sampler: Any) -> InBatch | None:
    return next((one for one in sampler.modules() if isinstance(one, InBatch)), None)


def learned_of(sampler: Any) -> dict[str, Tensor]:
    """What the part that draws from the batch has learned, without the seeds of draws."""
    found = in_batch_of(sampler)
    state = {} if found is None else unpacked(found.state_dict()["_extra_state"])
    return {name: value for name, value in state.items() if name.startswith("learned.")}


def recorded(sampler: Any, method: str, ids: Callable[[Any], Tensor]) -> list[Tensor]:
    """The ids of all draws to come by a method."""
    found: list[Tensor] = []
    inner = getattr(sampler, method)

    def draw(*given: Any) -> Any:
        drawn = inner(*given)
        found.append(ids(drawn))
        return drawn

    setattr(sampler, method, draw)
    return found


def train(case: Case) -> dict[str, Any]:
    """What one process has at the end, and what it drew."""
    here = world()
    table = ShardedClassTable(C, D, OPTIMIZERS[case.optimizer], init=first_rows, progress=False, **DOUBLE)
    drawn: dict[str, list[Tensor]] = {}

    def make(name: str) -> Sampler:
        if name in OF_EACH_ROW:
            sampler = OF_EACH_ROW[name]()
            drawn[name] = recorded(sampler, "_counted" if name == "per row" else "_draw_in_groups", lambda it: it.ids)
        else:
            sampler = strata(name)
            drawn[name] = recorded(sampler, "draw_rows", lambda it: table.own_ids()[it.ids])
        return sampler

    sampler = SAMPLERS[case.sampler](case.group, make)
    if case.sampler == "some":
        sampler.rank = 0  # one process takes the same of its batch
    loss, net = SAMPLED[case.objective](table, sampler, **dict(case.options)), tower()
    query = DistributedDataParallel(net) if here.size > 1 else net
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    values: list[float] = []
    for step in range(case.steps):
        own = Batch(case, step, here.size, range(here.rank, here.rank + 1))
        value = loss(query(own.features), own.targets, own.row_weight, own.extra)
        value.backward()
        values.append(float(value.detach()))
        table.step()
        descent.step()
        descent.zero_grad()
    weight, bias = (one.detach() for one in table.part.parameters())
    states = [dict(table.optimizer.state[parameter]) for parameter in table.part.parameters()]
    found = {"ids": table.own_ids(), "weight": weight, "bias": bias, "states": states, "losses": values}
    return {**found, "tower": net.weight.detach(), "drawn": drawn, "learned": learned_of(sampler)}


class Again(Sampler):
    """Gives ids that were drawn before, with expected counts by a formula or by the sampler itself."""

    def __init__(self, log_q: Callable[[Tensor], Tensor] | None = None, sampler: Any = None) -> None:
        super().__init__(C, **DOUBLE)
        self.log_q, self.sampler, self.ids = log_q, sampler, torch.zeros(0, dtype=torch.int64)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        assert self.log_q is not None
        return self.log_q(ids)

    def _draw(self, targets: Tensor, generator: Any) -> Draw:
        if self.sampler is None:
            return Draw(self.ids, self.log_expected_count)
        return self.sampler._draw_in_groups(targets, generator, None)._replace(ids=self.ids)


class OneProcess:
    """The same by one table, a batch of all processes, and one sampler for each group of processes."""

    def __init__(self, case: Case, found: list[dict[str, Any]]) -> None:
        self.case, self.found, self.size = case, found, len(found)
        self.weight = nn.Parameter(first_rows(torch.arange(C)))
        start = {"nce": 1 / C, "sampled_logistic": 1 / (C - 1)}.get(case.objective, 1.0)
        self.bias = nn.Parameter(torch.full((C,), start, **DOUBLE).log())
        self.optimizer = OPTIMIZERS[case.optimizer]([self.weight, self.bias])
        self.net = tower()
        self.descent = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.times = torch.ones(C, **DOUBLE)
        self.losses: list[float] = []
        width = {"world": self.size, "node": 2, None: 1}[case.group] if case.group not in (1, 2) else int(case.group)
        self.groups = [range(first, first + width) for first in range(0, self.size, width)]
        self.again: list[dict[str, Again]] = [{} for _ in self.groups]
        self.samplers = [self.sampler_of(number) for number in range(len(self.groups))]
        self.owner = torch.empty(C, dtype=torch.int64)
        for rank, each in enumerate(found):
            self.owner[each["ids"]] = rank

    def sampler_of(self, number: int) -> Sampler:
        def make(name: str) -> Sampler:
            of_row = OF_EACH_ROW[name]() if name in OF_EACH_ROW else None
            self.again[number][name] = Again(None if of_row else lambda ids: self.log_q(name)[ids], of_row)
            return self.again[number][name]

        sampler = SAMPLERS[self.case.sampler](None, make)
        sampler.rank = 0
        return sampler

    def log_q(self, name: str) -> Tensor:
        """S_r q(y) / q(shard r) of all classes in this step."""
        y = torch.arange(C, dtype=torch.float64)
        q = {"unigram": COUNTS, "log_uniform": ((y + 2) / (y + 1)).log(), "learned_unigram": self.times}
        law = q.get(name, torch.ones(C, **DOUBLE))
        masses = torch.zeros(self.size, **DOUBLE).index_add_(0, self.owner, law)
        shares = torch.tensor([len(each["drawn"][name][self.step]) for each in self.found])
        assert shares.sum() == S
        assert ((shares - S * masses / masses.sum()).abs() < 1).all()
        return (shares / masses)[self.owner].mul(law).log()

    def run(self, step: int) -> None:
        case, self.step = self.case, step
        every = Batch(case, step, self.size, range(self.size))
        total = torch.zeros((), **DOUBLE)
        for members, sampler, again in zip(self.groups, self.samplers, self.again, strict=True):
            own = Batch(case, step, self.size, members)
            for name, one in again.items():
                ranks = members if name in OF_EACH_ROW else range(self.size)
                one.ids = torch.cat([self.found[rank]["drawn"][name][step] for rank in ranks])
            in_batch = in_batch_of(sampler)
            if in_batch is not None and case.group != "world" and not in_batch.exact:
                in_batch.eval().learn(every.targets)  # what is learned is of all
            total = total + sampled_loss(
                case.objective,
                self.net(own.features),
                self.weight,
                sampler.draw(own.targets),
                bias=self.bias,
                reduction="sum",
                sparse=True,
                row_weight=own.row_weight,
                extra_negatives=own.extra,
                **dict(case.options),
            )
        loss = total / (every.counted() or 1.0)
        self.times += every.targets[every.targets >= 0].bincount(minlength=C)
        loss.backward()
        self.losses.append(float(loss.detach()))
        for optimizer in (self.optimizer, self.descent):
            optimizer.step()
            optimizer.zero_grad()


def differences(case: Case, found: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """The largest difference of each tensor from that of one process."""
    one = OneProcess(case, found)
    for step in range(case.steps):
        one.run(step)
    ids = torch.cat([each["ids"] for each in found])
    yield "rows", float((torch.cat([each["weight"] for each in found]) - one.weight.detach()[ids]).abs().max())
    yield "biases", float((torch.cat([each["bias"] for each in found]) - one.bias.detach()[ids]).abs().max())
    yield "tower", max(float((each["tower"] - one.net.weight.detach()).abs().max()) for each in found)
    means = torch.tensor([each["losses"] for each in found], **DOUBLE).mean(0)
    yield "losses", float(((means - torch.tensor(one.losses, **DOUBLE)) / (means.abs() + 1e-3)).abs().max())
    for place, parameter in enumerate((one.weight, one.bias)):
        for name, state in one.optimizer.state[parameter].items():
            if name != "step":
                parts = torch.cat([each["states"][place][name] for each in found])
                yield f"{name} {place}", float((parts - state[ids]).abs().max())
    if case.group == "world":
        for name, value in learned_of(one.samplers[0]).items():
            yield name, max(float((each["learned"][name] - value).abs().max()) for each in found)
    assert float((one.weight.detach() - first_rows(torch.arange(C))).abs().max()) > 1e-3


def trained(cases: list[Case]) -> list[dict[str, Any]]:
    os.environ["LOCAL_WORLD_SIZE"] = "2"
    return [train(case) for case in cases]


def each_row(group: Any, rank: int, size: int) -> dict[str, Tensor]:
    """Losses of single rows and their gradients, of one process's rows or of all."""
    given = Case("sampled_softmax", "exact", group)
    own = Batch(given, 0, 2, range(rank, rank + 1) if size > 1 else range(2))
    query = tower()(own.features).detach().requires_grad_()
    sampler = InBatch(C, counts=COUNTS, group=group, **DOUBLE)
    if size > 1:
        table = ShardedClassTable(C, D, init=first_rows, progress=False, **DOUBLE)
        loss = SampledSoftmaxLoss(table, sampler, reduction="none")
    else:
        loss = SampledSoftmaxLoss(D, C, sampler, reduction="none", **DOUBLE)
        loss.weight.data.copy_(first_rows(torch.arange(C)))
    values = loss(query, own.targets)
    (values * torch.arange(1, len(values) + 1)).sum().backward()
    assert query.grad is not None
    return {"losses": values.detach(), "gradients": query.grad / torch.arange(1, len(values) + 1)[:, None]}


def readouts(rank: int) -> dict[str, float]:
    """Differences of what is read by log Q from a module of one process with the formula of Q."""
    found: dict[str, float] = {}
    for objective, group in product(["negative_sampling", "gbce", "nce"], ["world", None]):
        table = ShardedClassTable(C, D, init=first_rows, progress=False, **DOUBLE)
        stratified: Any = strata("unigram")
        sampler = Mixture([InBatch(C, counts=COUNTS, group=group, **DOUBLE), stratified])
        loss = SAMPLED[objective](table, sampler)
        loss(torch.zeros(3 + 2 * rank, D, **DOUBLE), torch.arange(3 + 2 * rank))
        others = 7.0 if group == "world" else (2.0 + 4.0) / 2
        owner = (torch.arange(C)[:, None] == table.own_ids()).any(dim=1).long() == rank  # of the second process
        shares = torch.stack([~owner, owner]) * COUNTS
        drawn = (shares / shares.sum(dim=1, keepdim=True) * torch.tensor(stratified.strata)[:, None]).sum(dim=0)
        formula = Again((others * COUNTS / COUNTS.sum() + drawn).log().__getitem__)
        formula.sample_size = lambda others=others: others + 1 + S
        plain = CandidateLoss(objective, D, C, formula, **DOUBLE)
        bias = torch.randn(C, generator=torch.Generator().manual_seed(1)).double()
        assert plain.bias is not None
        with torch.no_grad():
            table.part.parameters()[1].copy_(bias[table.own_ids()])
            plain.bias.copy_(bias)
            plain.weight.copy_(first_rows(torch.arange(C)))
            query = 3 * torch.randn(4 + rank, D, generator=torch.Generator().manual_seed(2)).double()
            some = torch.randint(0, C, (4 + rank, 2), generator=torch.Generator().manual_seed(rank))
            best, alone = loss.topk(query, 9), plain.topk(query, 9)
            pairs = [(loss.log_prob(query, some), plain.log_prob(query, some)), (best.log_prob, alone.log_prob)]
        differ = max(float((one - other).abs().max()) for one, other in pairs)
        found[f"{objective} {group}"] = differ + float((best.ids != alone.ids).sum())
    return found


def saved(folder: str, load: bool) -> dict[str, Any]:
    """Train, save and go on; or load and go on."""
    here = world()
    table = ShardedClassTable(C, D, OPTIMIZERS["LazyAdam"], init=first_rows, progress=False, **DOUBLE)
    learned = Stratified(LearnedUnigram(C, S, seed=5))
    memory = CrossBatch(C, 7, group="world", seed=3)
    sampler = Mixture([learned, memory, InBatch(C, num_sampled=5, seed=4)])
    loss = SAMPLED["nce"](table, sampler)
    state: dict[str, Any] = {"table": table, "sampler": sampler}

    def step(number: int) -> float:
        generator = torch.Generator().manual_seed(10 * number + here.rank)
        query = torch.randn(9, D, generator=generator, dtype=torch.float64)
        value = loss(query, (torch.rand(9, generator=generator).pow(3) * C).long())
        value.backward()
        table.step()
        return float(value.detach())

    if load:
        Checkpoint(folder).load(**state)
    else:
        for number in range(3):
            step(number)
        Checkpoint(folder).save(3, **state)
    known = {"counts": learned.mass(), "queue": memory.queue.clone()}
    return {**known, "losses": [step(3 + number) for number in range(3)] if here.size > 1 else []}


def sent_in_batch(rank: int) -> dict[str, int]:
    """The bytes that this process sends in a step with the targets of both, and the distinct ones that are not its."""
    table = ShardedClassTable(20_011, 64, progress=False)
    loss = SampledSoftmaxLoss(table, InBatch(20_011, counts=torch.ones(20_011), group="world"))
    of_each = [torch.randint(0, 20_011, (300,), generator=torch.Generator().manual_seed(one)) for one in range(2)]
    query = torch.ones(300, 64, requires_grad=True)
    with traffic() as sent:
        loss(query, of_each[rank]).backward()
    return {"sent": sent.bytes_sent, "foreign": len(set(torch.cat(of_each).tolist()) - set(table.own_ids().tolist()))}


def everything(cases: list[Case], folder: str) -> dict[str, Any]:
    """All answers of one of two processes."""
    rank = world().rank
    found: dict[str, Any] = {"trained": trained(cases), "rows": each_row("world", rank, 2)}
    found["bytes"] = sent_in_batch(rank)
    return found | {"readouts": readouts(rank), "saved": [saved(folder, load) for load in (False, True)]}
