"""One of several processes that train by different ways in turns: bytes and seconds of a step, as JSON."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from logq.candidates import Candidates
from logq.distributed import ShardedClassTable, Stratified
from logq.functional import sampled_softmax_loss
from logq.nn import SampledSoftmaxLoss
from logq.optim import RowWiseAdagrad
from logq.process_start import all_values, join
from logq.processes import traffic, world
from logq.samplers import Unigram
from logq.training.together import share_gradients

LR = 0.05


def counts_of(num_classes: int) -> Tensor:
    """Zipf's law."""
    return (torch.arange(num_classes) + 1.0).reciprocal() * 1e6


def wire() -> int | None:
    """Bytes that all processes of this network namespace have sent over its loopback device; None of a shared one."""
    if "--wire" not in sys.argv:
        return None
    line = next(one for one in Path("/proc/net/dev").read_text().splitlines() if one.strip().startswith("lo:"))
    return int(line.split()[9])


class Ways:
    """The steps of one task: queries, targets drawn by Zipf's law, S shared negatives, row-wise Adagrad."""

    def __init__(self, num_classes: int, dim: int, batch: int, num_sampled: int) -> None:
        self.num_classes, self.dim, self.batch, self.num_sampled = num_classes, dim, batch, num_sampled
        self.counts = counts_of(num_classes)
        generator = torch.Generator().manual_seed(world().rank)
        self.targets = [torch.multinomial(self.counts, batch, True, generator=generator) for _ in range(16)]
        self.queries = [torch.randn(batch, dim, generator=generator) for _ in range(16)]

    def sharded(self) -> Callable[[int], None]:
        """ShardedClassTable, rows to queries."""
        table = ShardedClassTable(
            self.num_classes, self.dim, partial(RowWiseAdagrad, lr=LR), plan="rows", progress=False
        )
        loss = SampledSoftmaxLoss(table, Stratified(Unigram(self.counts, self.num_sampled, power=0.75, seed=1)))
        own = set(table.own_ids().tolist())
        of_step = [set(targets.tolist()) for targets in self.targets]
        self.foreign = statistics.mean(len(ids - own) for ids in of_step)
        self.distinct = statistics.mean(map(len, of_step))

        def step(number: int) -> None:
            loss(self.queries[number], self.targets[number]).backward()
            table.step()

        return step

    def replicated(self, *, sparse: bool) -> Callable[[int], None]:
        """The whole table in each process, whose gradients are added up: dense, or of the touched rows."""
        sampler = Unigram(self.counts, self.num_sampled // world().size, power=0.75, seed=1)
        loss = SampledSoftmaxLoss(self.dim, self.num_classes, sampler, sparse=sparse)
        parameters = list(loss.parameters())
        ours, torchs = RowWiseAdagrad(parameters, lr=LR), torch.optim.Adagrad(parameters, lr=LR, fused=True)

        def step(number: int) -> None:
            (loss(self.queries[number], self.targets[number]) / world().size).backward()
            share_gradients([] if sparse else parameters, parameters if sparse else [])
            optimizer = ours if sparse else torchs
            optimizer.step()
            optimizer.zero_grad()

        return step

    def torchrec(self) -> Callable[[int], None]:
        """EmbeddingCollection, row-wise, whose optimizer is fused into backward; it has no biases."""
        import torchrec  # pyright: ignore[reportMissingImports]
        from fbgemm_gpu.split_embedding_configs import EmbOptimType  # pyright: ignore[reportMissingImports]
        from torchrec.distributed import embedding, sharding_plan, types  # pyright: ignore[reportMissingImports]

        size = world().size
        about: dict[str, Any] = {"embedding_dim": self.dim, "num_embeddings": self.num_classes}
        config = torchrec.EmbeddingConfig(name="t", feature_names=["f"], **about)
        module = torchrec.EmbeddingCollection(tables=[config], device=torch.device("meta"))
        fused = {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": LR, "eps": 1e-8}
        sharder = embedding.EmbeddingCollectionSharder(fused_params=fused)
        rows = {"t": sharding_plan.row_wise(compute_kernel="fused")}
        how: dict[str, Any] = {"local_size": size, "world_size": size, "device_type": "cpu"}
        plan = sharding_plan.construct_module_sharding_plan(module, rows, sharder=sharder, **how)
        env = types.ShardingEnv.from_process_group(torch.distributed.group.WORLD)
        table: nn.Module = sharder.shard(module, plan, env, torch.device("cpu"))
        sampler = Unigram(self.counts, self.num_sampled, power=0.75, seed=1)
        sampler.rank = 0  # the same draws in all processes
        places = torch.arange(self.batch + self.num_sampled)

        def step(number: int) -> None:
            drawn = sampler.draw(self.targets[number])
            ids = torch.cat([self.targets[number], drawn.ids])
            asked = torchrec.KeyedJaggedTensor.from_lengths_sync(["f"], ids, torch.ones_like(ids))
            found = table(asked)["f"].values()
            log_q = drawn.log_expected_count, drawn.true_log_expected_count
            own = Candidates(places[self.batch :], log_q[0], places[: self.batch], log_q[1], drawn.hits())
            loss = sampled_softmax_loss(self.queries[number], found, own, reduction="sum")
            (loss / (size * self.batch)).backward()

        return step


def main() -> None:
    """Take turns, and print what came of it."""
    torch.set_num_threads(1)
    task = json.loads(sys.argv[1])
    join()
    ways = Ways(*(task[name] for name in ("classes", "dim", "batch", "num_sampled")))
    makers = {
        "sharded": ways.sharded,
        "replicated, dense": partial(ways.replicated, sparse=False),
        "replicated, touched rows": partial(ways.replicated, sparse=True),
        "torchrec, row-wise": ways.torchrec,
    }
    steps = {name: makers[name]() for name in task["ways"]}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    sent: dict[str, list[int]] = {name: [] for name in steps}
    on_wire: dict[str, list[int]] = {name: [] for name in steps}
    computed: dict[str, list[float]] = {name: [] for name in steps}
    messages = 0
    for turn in range(task["repeat"] + 1):  # the first one is not counted
        for name, step in steps.items():
            torch.distributed.barrier()
            before, began, of_processor = wire(), time.perf_counter(), time.process_time()
            with traffic() as counted:
                for number in range(task["steps"]):
                    step((turn + number) % 16)
            of_processor = time.process_time() - of_processor
            torch.distributed.barrier()
            took, after = time.perf_counter() - began, wire()
            if turn:
                seconds[name].append(took / task["steps"])
                computed[name].append(of_processor / task["steps"])
                sent[name].append(counted.bytes_sent // task["steps"])
                if before is not None and after is not None:
                    on_wire[name].append((after - before) // (task["steps"] * world().size))
            if name == "sharded":
                messages = counted.messages // task["steps"]
    own = {"foreign": ways.foreign, "distinct": ways.distinct, "sent": statistics.mean(sent["sharded"])}
    every = all_values(own, "compare bytes")
    if world().is_first:
        means = {key: statistics.mean(one[key] for one in every) for key in own}
        found = {"seconds": seconds, "computed": computed, "wire": on_wire, "exchanges": messages}
        print(json.dumps({**found, **means}))


if __name__ == "__main__":
    main()
