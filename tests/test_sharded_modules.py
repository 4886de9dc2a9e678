"""Modules whose parameters are cut into parts, by FSDP2, FSDP and as DTensors; and processes that are spawned."""

from collections.abc import Callable, Generator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.utils.data import DataLoader, Dataset

from cases import MODULES, SAMPLED_MODULES, SAMPLERS
from logq.functional import full_softmax_loss, sampled_softmax_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.nn import SampledSoftmaxLoss
from logq.nn.sparse_rows import SparseRows, TellsOfSparseRows
from logq.samplers import Sampler

C, D = 13, 4
INPUT, TARGETS = torch.ones(3, D), torch.tensor([3, 1, 5])
LOSSES: dict[str, Callable[..., nn.Module]] = {
    **{name: lambda name=name, **how: MODULES[name](D, C, **how) for name in MODULES},
    "HierarchicalSoftmax": lambda **how: HierarchicalSoftmax(D, range(1, C + 1), **how),
}
SPARSE = [*SAMPLED_MODULES, "HierarchicalSoftmax"]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Generator[DeviceMesh]:
    """One process, which holds all parts."""
    store = dist.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_gradients_are_refused_where_parameters_are_cut(name: str, mesh: DeviceMesh) -> None:
    ways: list[Callable[[nn.Module], object]] = [
        lambda module: fully_shard(module, mesh=mesh),
        lambda module: fully_shard(nn.Sequential(module), mesh=mesh),
        lambda module: FullyShardedDataParallel(module, device_id=torch.device("cpu"))(INPUT, TARGETS),
        lambda module: FullyShardedDataParallel(module, use_orig_params=True, device_id=torch.device("cpu"))(
            INPUT, TARGETS
        ),
    ]
    for way in ways:
        with pytest.raises(ValueError, match="sparse: expected False where each process holds a part of weight"):
            way(LOSSES[name](sparse=True))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_is_cut_is_read_once_its_methods_are_known(name: str, mesh: DeviceMesh) -> None:
    module, whole = LOSSES[name](), LOSSES[name]()
    whole.load_state_dict(module.state_dict())
    fully_shard(module, mesh=mesh)
    methods = {"topk": (INPUT, 2), "log_prob": (INPUT, TARGETS)}
    for method, arguments in methods.items():
        with pytest.raises(TypeError, match=r"weight: expected a tensor .* whole.*register_fsdp_forward_method"):
            getattr(module, method)(*arguments)
    for method, arguments in methods.items():
        register_fsdp_forward_method(module, method)
        torch.testing.assert_close(getattr(module, method)(*arguments), getattr(whole, method)(*arguments))


def test_parts_of_tensors_are_refused_by_name(mesh: DeviceMesh) -> None:
    def part(tensor: Tensor) -> Tensor:
        return distribute_tensor(tensor, mesh, [Shard(0)])

    weight, sampler = torch.ones(C, D), SAMPLERS["unigram"](C, torch.float32, 1)
    candidates = sampler.draw(TARGETS)
    loss = SampledSoftmaxLoss(D, C, sampler)
    tree = HierarchicalSoftmax(D, range(1, C + 1))
    calls: list[tuple[str, Callable[[], object]]] = [
        ("weight", lambda: sampled_softmax_loss(INPUT, part(weight), candidates)),
        ("weight", lambda: full_softmax_loss(INPUT, part(weight), TARGETS)),
        ("input", lambda: full_softmax_loss(part(INPUT), weight, TARGETS)),
        ("targets", lambda: full_softmax_loss(INPUT, weight, part(TARGETS))),
        ("targets", lambda: sampler.draw(distribute_tensor(TARGETS, mesh, [Replicate()]))),
        ("input", lambda: loss(part(INPUT), TARGETS)),
        ("input", lambda: tree(part(INPUT), TARGETS)),
        ("targets", lambda: tree(INPUT, part(TARGETS))),
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=f"^{name}: expected a tensor that this process has whole, got a DTensor"):
            call()


class Draws(Dataset[Tensor]):
    def __init__(self, samplers: list[Sampler]) -> None:
        self.samplers = samplers

    def __len__(self) -> int:
        return len(self.samplers)

    def __getitem__(self, index: int) -> Tensor:
        return self.samplers[index].draw(TARGETS).ids


def test_samplers_that_have_drawn_reach_workers_that_are_spawned() -> None:
    samplers = [SAMPLERS[name](C, torch.float32, 3) for name in ("uniform", "prefetch", "learned_unigram", "mixture")]
    for sampler in samplers:
        sampler.draw(TARGETS)
    answers = []
    for context in ("spawn", "fork"):
        loader = DataLoader(
            Draws(samplers),
            batch_size=None,
            num_workers=1,
            multiprocessing_context=context,
            generator=torch.Generator().manual_seed(1),
        )
        answers.append(list(loader))
    for one, other in zip(*answers, strict=True):
        assert torch.equal(one, other)


def test_a_process_that_is_spawned_learns_for_itself() -> None:
    for name in ("learned_unigram", "in_batch-streaming", "partition"):
        sampler = SAMPLERS[name](C, torch.float32, 3)
        sampler.draw(TARGETS)
        before = {name: value.clone() for name, value in sampler._learned().items()}
        loader = DataLoader(Draws([sampler] * 3), batch_size=None, num_workers=1, multiprocessing_context="spawn")
        assert len(list(loader)) == 3
        assert all(torch.equal(value, before[name]) for name, value in sampler._learned().items())


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_parameters_are_shown_first_where_processes_train_together(name: str, mesh: DeviceMesh) -> None:
    module = LOSSES[name](sparse=True)
    (_, first), (_, second), *_ = module.named_modules()
    assert isinstance(first, SparseRows)
    assert first.sparse
    assert first.weight is module.weight
    assert second is module
    dense = LOSSES[name](sparse=False)
    assert not any(isinstance(part, SparseRows) for part in dense.modules())
    assert next(TellsOfSparseRows().modules()).sparse_parameters() == {}  # pyright: ignore[reportCallIssue]
