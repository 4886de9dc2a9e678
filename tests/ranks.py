"""What two processes do together, run once for all tests of tests/test_ranks.py; each returns what it found."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from cases import MODULES, SAMPLED_MODULES, SAMPLERS
from logq import optim
from logq.hierarchical import HierarchicalSoftmax
from logq.nn import SampledSoftmaxLoss
from logq.samplers import InBatch, LearnedUnigram, Sampler, Unigram

WORLD = 2
OPTIMIZERS: dict[str, Callable[..., optim.RowOptimizer]] = {
    "SGD": optim.SGD,
    "Adagrad": optim.Adagrad,
    "RowWiseAdagrad": optim.RowWiseAdagrad,
    "LazyAdam": optim.LazyAdam,
}

C, D = 13, 4


class Model(nn.Module):
    """A layer and a loss, as a training loop has them."""

    def __init__(self, loss: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(D, D, dtype=torch.float64)
        self.loss = loss()

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self.layer(input), targets)


def batch(step: int, rank: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(10 * step + rank)
    return torch.randn(3, D, dtype=torch.float64, generator=generator), torch.randint(0, C, (3,), generator=generator)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        whole: Any = parameter.detach()
        found[name] = (whole.full_tensor() if hasattr(whole, "full_tensor") else whole).clone()
    return found


def train_replicas(model: nn.Module, optimizer: torch.optim.Optimizer, rank: int) -> dict[str, Tensor]:
    wrapped = DistributedDataParallel(model)
    for step in range(3):
        optimizer.zero_grad()
        wrapped(*batch(step, rank)).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return parameters_of(model)


def replicas(rank: int) -> dict[str, Any]:
    """Parameters after some steps of DistributedDataParallel, by dense and by sparse gradients."""
    losses: dict[str, Callable[..., nn.Module]] = {
        **{name: lambda name=name, **how: MODULES[name](D, C, dtype=torch.float64, **how) for name in SAMPLED_MODULES},
        "HierarchicalSoftmax": lambda **how: HierarchicalSoftmax(D, range(1, C + 1), dtype=torch.float64, **how),
        "without biases": lambda **how: MODULES["NCELoss"](D, C, dtype=torch.float64, bias=False, **how),
    }
    found = {}
    for name, loss in losses.items():
        for sparse in (False, True):
            model = Model(lambda loss=loss, sparse=sparse: loss(sparse=sparse))
            # By Adagrad a row without a gradient stays where it is, dense or not.
            optimizer = optim.Adagrad(model.parameters(), lr=0.5)
            found[name, sparse] = train_replicas(model, optimizer, rank)
            layouts = {one: parameter.grad.is_sparse for one, parameter in model.loss.named_parameters()}
            found[name, sparse, "sparse"] = layouts
    return found


class Shared(nn.Module):
    """A table that is both the embedding of the inputs and the class weights."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(C, D, sparse=sparse, dtype=torch.float64)
        sampler = Unigram(range(1, C + 1), 5, seed=1, dtype=torch.float64)
        self.loss = SampledSoftmaxLoss(D, C, sampler, weight=self.table.weight, sparse=sparse)

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self.table(targets.flip(0)) + input, targets)


def shared_tables(rank: int) -> dict[str, Any]:
    """A shared table, of which the embedding tells DistributedDataParallel."""
    found = {}
    for sparse in (False, True):
        model = Shared(sparse)
        found[sparse] = train_replicas(model, optim.Adagrad(model.parameters(), lr=0.5), rank)
    return found


def updates_in_backward(rank: int) -> dict[str, str]:
    """What is said to an optimizer made before the process group, and after it."""
    found = {}
    early = BEFORE["optimizer"]
    for name, act in {
        "update": lambda: BEFORE["model"](*batch(0, rank)).backward(),
        "constructor": lambda: optim.LazyAdam(BEFORE["model"].parameters(), in_backward=True),
    }.items():
        try:
            act()
        except ValueError as error:
            found[name] = str(error)
    assert early is not None
    return found


def draws(rank: int) -> dict[str, Any]:
    """Draws of samplers with one seed, those of a copy of rank 0's state, and those of samplers that are to agree."""
    found: dict[str, Any] = {}
    targets = torch.tensor([3, 1])
    for name in ("unigram", "unigram-distinct", "uniform-distinct", "learned_unigram", "prefetch", "mixture"):
        sampler, later, alike = (SAMPLERS[name](40, torch.float64, seed) for seed in (7, 8, 7))
        alike.rank = 0
        found[name, "first"] = [sampler.draw(targets).ids for _ in range(3)]
        state = [sampler.state_dict()]
        dist.broadcast_object_list(state, src=0)
        later.load_state_dict(state[0])
        found[name, "on"] = [sampler.draw(targets).ids for _ in range(2)]
        found[name, "later"] = [later.draw(targets).ids for _ in range(2)]
        found[name, "alike"] = [alike.draw(targets).ids for _ in range(3)]
    return found


class Learning(nn.Module):
    """A loss whose sampler learns, of batches of another size on each rank."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.loss = SampledSoftmaxLoss(D, C, sampler, dtype=torch.float64)

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        return self.loss(input, targets)


def ragged_batches(rank: int) -> dict[str, Any]:
    """What samplers that learn make of batches of 3 rows on rank 0 and of 1,500 on rank 1."""
    found = {}
    for name, sampler in {
        "LearnedUnigram": LearnedUnigram(C, 5, seed=1, dtype=torch.float64),
        "InBatch": InBatch(C, dtype=torch.float64),
    }.items():
        model = DistributedDataParallel(Learning(sampler))
        rows = 1500 if rank else 3
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            targets = torch.randint(0, 4 + 4 * rank, (rows,), generator=generator)
            model(torch.ones(rows, D, dtype=torch.float64), targets).backward()
        of_class = sampler.log_prob(torch.arange(C)).exp()
        found[name] = {"total": float(of_class.sum()), "q": of_class}
        if isinstance(sampler, LearnedUnigram):
            found[name]["drawn"] = sampler._sample((100_000,), torch.Generator().manual_seed(rank))
            found[name]["seen"] = int(sampler.counts.sum()) - C
    return found


def parts_of_parameters(rank: int) -> dict[str, Any]:
    """Training in parts by FSDP2 and its checkpoints, beside replicas that have everything."""
    found: dict[str, Any] = {}
    for name, kind in OPTIMIZERS.items():

        def model() -> Model:
            return Model(
                lambda: SampledSoftmaxLoss(D, C, SAMPLERS["unigram"](C, torch.float64, 3), dtype=torch.float64)
            )

        whole = model()
        found[name, "replicas"] = train_replicas(whole, kind(whole.parameters(), lr=0.1), rank)
        parts = fully_shard(model())
        optimizer = kind(parts.parameters(), lr=0.1)
        for step in range(3):
            if step == 1:  # the rest by another model and another optimizer, from what was saved
                saved, state = parts.state_dict(), optimizer.state_dict()
                parts = fully_shard(model())
                optimizer = kind(parts.parameters(), lr=55.0)
                parts.load_state_dict(saved)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            parts(*batch(step, rank)).backward()
            optim.clip_grad_norm_(parts.parameters(), 1.0)
            optimizer.step()
        found[name, "parts"] = parameters_of(parts)
    return found


BEFORE: dict[str, Any] = {}
"""What was made before the process group."""

PARTS = {
    function.__name__: function
    for function in (replicas, shared_tables, updates_in_backward, draws, ragged_batches, parts_of_parameters)
}


def run(rank: int, folder: str) -> None:
    """One of the processes: the answers of all parts, or the error of one, into a file."""
    warnings.simplefilter("ignore")  # of torch, of its own ways
    torch.set_num_threads(1)
    BEFORE["model"] = Model(lambda: MODULES["NCELoss"](D, C, dtype=torch.float64))
    BEFORE["optimizer"] = optim.SGD(BEFORE["model"].parameters(), lr=0.1, in_backward=True)
    dist.init_process_group(
        "gloo", store=dist.FileStore(os.path.join(folder, "store"), WORLD), rank=rank, world_size=WORLD
    )
    found = {name: part(rank) for name, part in PARTS.items()}
    torch.save(found, Path(folder, f"{rank}.pt"))
    dist.barrier()  # without it Python may end while threads of gloo still hold tensors
    dist.destroy_process_group()
