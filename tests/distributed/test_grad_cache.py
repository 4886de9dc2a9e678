"""Chunks have the gradients of the whole batch, and the memory of one chunk."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from logq.distributed import GradCache
from logq.nn.dropout import ByteDropout
from logq.recommenders import TwoTower, TwoTowerEncoder
from logq.recommenders.neural.item_loss import ItemLoss
from logq.samplers import CrossBatch, InBatch
from recommender_cases import planted_split

ROWS, WIDTH = 11, 6


class Tower(nn.Module):
    """Dropout of two kinds, a table with sparse gradients, and a mapping among its inputs."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.table = nn.Embedding(9, WIDTH, sparse=True, dtype=torch.float64)
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.Dropout(dropout), nn.Tanh(), ByteDropout(dropout), nn.Linear(WIDTH, 3)
        ).double()

    def forward(self, x: Tensor, batch: dict[str, Tensor], scale: float) -> Tensor:
        return scale * self.layers(x + self.table(batch["ids"]))


def inputs() -> tuple[Tensor, dict[str, Tensor], float]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(ROWS, WIDTH, dtype=torch.float64, generator=generator).requires_grad_()
    return x, {"ids": torch.randint(9, (ROWS,), generator=generator)}, 0.5


def contrastive(vectors: Tensor) -> Tensor:
    """Each row against all."""
    return ((vectors @ vectors.roll(1, 0).T).logsumexp(dim=1) - (vectors * vectors.roll(1, 0)).sum(dim=1)).sum()


def gradients(encode: Callable[..., Tensor], tower: Tower) -> list[Tensor]:
    x, batch, scale = inputs()
    torch.manual_seed(8)
    loss = contrastive(encode(x, batch, scale))
    state = torch.get_rng_state()
    loss.backward()
    assert torch.equal(torch.get_rng_state(), state), "backward moved the random state"
    assert x.grad is not None
    found = [one.grad for one in tower.parameters() if one.grad is not None]
    return [loss.detach(), x.grad, *(one.to_dense() if one.is_sparse else one for one in found), state]


@pytest.mark.parametrize("chunk", [1, 4, ROWS - 1])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_a_graph_that_holds_everything(dropout: float, chunk: int) -> None:
    tower = Tower(dropout)
    found = gradients(GradCache(tower, chunk), tower)
    tower = Tower(dropout)

    def whole(x: Tensor, batch: dict[str, Tensor], scale: float) -> Tensor:
        parts = zip(x.split(chunk), batch["ids"].split(chunk), strict=True)
        return torch.cat([tower(one, {"ids": ids}, scale) for one, ids in parts])

    expected = gradients(whole, tower)
    assert len(found) == len(expected) == 8
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    if dropout == 0:
        tower = Tower(dropout)
        for one, other in zip(found[:-1], gradients(tower, tower)[:-1], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def key_of(tensor: Tensor) -> int:
    """The place of its storage, which is not another one's while something refers to it, weakly even."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


class Peak(TorchDispatchMode):
    """The most bytes that were held at a time by tensors which operations have made."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {key_of(one) for one in args if isinstance(one, Tensor)}
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, Tensor) and (key := key_of(one)) not in given:
                storage = one.untyped_storage()
                self._held.setdefault(key, (StorageWeakRef(storage), storage.nbytes()))
        self._held = {key: held for key, held in self._held.items() if not held[0].expired()}
        self.most = max(self.most, sum(size for _, size in self._held.values()))
        return result


def most(rows: int, chunk: int | None) -> int:
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(64, 64), nn.Dropout(0.5), nn.Tanh())]
    tower = nn.Sequential(*layers, nn.Linear(64, 2))
    x = torch.randn(rows, 64)
    encode = tower if chunk is None else GradCache(tower, chunk)
    with Peak() as peak:
        vectors = encode(x)
        (vectors.sum() ** 2).backward()
    return peak.most


def test_memory_is_that_of_one_chunk() -> None:
    """Bytes that are alive, counted: of a row a graph has 4 layers of 64, three numbers for each, a vector 2."""
    vectors = 4 * 2 * 4  # bytes a row of vectors, their parts, their gradients and parts of these
    weights = 2 * 4 * (4 * 64 * 65 + 2 * 65)  # gradients, and those that are added to them
    of_graph = 4 * 3 * 64 * 4
    whole, some, twice = most(512, None), most(512, 16), most(1024, 16)
    assert whole > 512 * of_graph * 0.6
    assert some < weights + 512 * vectors + 16 * of_graph * 1.5
    assert some < whole / 4
    assert twice - some <= 512 * vectors


def two_towers(chunk: int | None, dropout: float) -> TwoTowerEncoder:
    torch.manual_seed(1)
    return TwoTowerEncoder(
        40,
        4,
        hidden=(8,),
        item_hidden=(8,),
        num_users=5,
        user_dropout=dropout,
        user_features={"country": 3},
        item_features={"genre": 6},
        item_codes={"genre": torch.arange(40) % 6},
        id_dropout=dropout,
        dropout=dropout,
        chunk=chunk,
    ).double()


def steps(model: TwoTowerEncoder, memory: bool) -> list[dict[str, Tensor]]:
    """Losses and gradients of two batches by the loss of an estimator."""
    counts = range(1, 41)
    sampler = CrossBatch(40, 9, counts=counts) if memory else InBatch(40, counts=counts)
    loss, found = ItemLoss("sampled_softmax", sampler.double(), temperature=0.5), []
    torch.manual_seed(6)
    for _ in range(2):
        batch = {
            "history": torch.randint(-1, 40, (10, 3)),
            "user": torch.randint(-1, 5, (10,)),
            "user.country": torch.randint(-1, 3, (10,)),
            "target": torch.randint(40, (10,)),
        }
        model.zero_grad()
        value = loss(model, *model.training_queries(batch))
        value.backward()
        grads = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        found.append({"loss": value.detach(), **grads})
    return found


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_two_towers(dropout: float, memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = steps(two_towers(3, dropout), memory)
    again: list[int] = []

    def plain(encode: Callable[..., Tensor], *given: Any, use_reentrant: bool) -> Tensor:
        again.append(1)
        return encode(*given)

    monkeypatch.setattr("logq.distributed.grad_cache.checkpoint", plain)
    for chunk in (3, None) if dropout == 0 else (3,):
        for one, other in zip(found, steps(two_towers(chunk, dropout), memory), strict=True):
            assert len(one) > 9
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert len(again) > 10


def test_an_estimator_learns_the_same_in_chunks() -> None:
    fitted = [
        TwoTower(8, chunk=chunk, id_dropout=0.0, epochs=1, batch_size=64, seed=1).fit(planted_split(), progress=False)
        for chunk in (None, 7)
    ]
    assert [model.model.chunk for model in fitted] == [None, 7]
    one, other = (model.item_vectors for model in fitted)
    torch.testing.assert_close(torch.from_numpy(one), torch.from_numpy(other), rtol=0, atol=1e-4)


def test_without_gradients_rows_are_still_taken_in_chunks() -> None:
    seen: list[int] = []

    def encode(x: Tensor) -> Tensor:
        seen.append(len(x))
        return 2 * x

    with torch.no_grad():
        assert torch.equal(GradCache(encode, 4)(torch.arange(10.0)), 2 * torch.arange(10.0))
    assert seen == [4, 4, 2]
    assert GradCache(encode, 4)(torch.ones(0, 3)).shape == (0, 3)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="chunk: expected an integer >= 1, got 0"):
        GradCache(torch.tanh, 0)
    with pytest.raises(TypeError, match="encoder: expected a module or a function, got int"):
        GradCache(3, 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"inputs: expected tensors with the same number of rows, got \[3, 2\]"):
        GradCache(torch.add, 1)(torch.ones(3), torch.ones(2))
    with pytest.raises(ValueError, match="inputs: expected tensors with the same number of rows, got none"):
        GradCache(torch.add, 1)(3)
    with pytest.raises(ValueError, match=r"encoder: expected vectors of 2 rows, got \(\)"):
        GradCache(torch.sum, 2)(torch.ones(5))
    with pytest.raises(ValueError, match="compile: expected False with chunk, which encodes a second time in backward"):
        TwoTower(chunk=4, compile=True)
