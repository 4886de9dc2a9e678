"""What several processes save, any number of them loads bit for bit; nothing that ends a save costs an earlier one."""

import errno
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from logq._model_file import CheckpointWarning
from logq.distributed import Checkpoint, OwnRows, sharded_checkpoint
from logq.optim import LazyAdam
from logq.processes import world
from logq.samplers import CrossBatch, Mixture, Sampler, Uniform
from processes import together

N, D = 11, 3


def whole(dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.arange(N * D, dtype=torch.float64).view(N, D) / 7).to(dtype)


def rows_of(table: Tensor) -> OwnRows:
    """The part of this process, as DTensor's Shard(0) cuts."""
    own, per = world(), -(-len(table) // world().size)
    part = table[own.rank * per : (own.rank + 1) * per]
    return OwnRows(part.clone(), min(len(table), own.rank * per), len(table))


class Table:
    """OwnRows of this process with the states of a logq optimizer, as a sharded table has them."""

    def __init__(self, table: Tensor) -> None:
        self.rows = rows_of(table)
        self.weight = nn.Parameter(self.rows.tensor)
        self.optimizer = LazyAdam([self.weight], lr=0.1)
        self.moment = torch.zeros_like(self.weight)
        self.steps = 0

    def sharded_state(self) -> dict[str, Any]:
        split = {"weight": self.weight.data, "moment": self.moment}
        return {**{name: self.rows._replace(tensor=one) for name, one in split.items()}, "steps": self.steps}

    def load_sharded_state(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


def things(filled: bool) -> dict[str, Any]:
    """Something of each kind, with numbers or without."""
    torch.manual_seed(1 if filled else 2)
    tower = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(tower.parameters(), lr=0.1 if filled else 0.3)
    table = Table(whole() if filled else torch.zeros(N, D, dtype=torch.float64))
    generator = torch.Generator().manual_seed(5 + world().rank if filled else 100)
    if filled:
        tower(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        table.moment += table.weight.data.square()
        table.steps = 4
    return {
        "tower": tower,
        "optimizer": optimizer,
        "table": table,
        "half": rows_of(whole(torch.bfloat16) if filled else torch.zeros(N, D, dtype=torch.bfloat16)),
        "flat": rows_of(whole(torch.bfloat16)[:, 1] if filled else torch.zeros(N, dtype=torch.bfloat16)),
        "count": torch.tensor(7 if filled else 0),
        "nested": {"a": torch.full((2,), 3.0 if filled else 0.0), "generator": generator},
    }


def numbers(state: dict[str, Any]) -> dict[str, Any]:
    """What is in these things."""
    table, per_parameter = state["table"], state["optimizer"].state_dict()
    return {
        "tower": {name: value.clone() for name, value in state["tower"].state_dict().items()},
        "adam": {f"{key}.{name}": one for key, of in per_parameter["state"].items() for name, one in of.items()},
        "lr": per_parameter["param_groups"][0]["lr"],
        "weight": table.weight.data,
        "moment": table.moment,
        "steps": table.steps,
        **{name: state[name].tensor for name in ("half", "flat")},
        "count": state["count"],
        "a": state["nested"]["a"],
        "first": state["table"].rows.first,
    }


def saved(folder: Path) -> dict[str, Any]:
    """Two processes save, and load what they saved."""
    rank, found = world().rank, {}
    checkpoint = Checkpoint(folder, keep=2)
    state = things(True)
    for step in (10, 20, 30):
        checkpoint.save(step, **state, position={"epoch": step // 10}, mine=rank)
    found["latest"] = checkpoint.latest
    fresh = things(False)
    found["loaded"] = checkpoint.load(**fresh)
    found["numbers"], found["expected"] = numbers(fresh), numbers(state)
    draws = [one["nested"]["generator"] for one in (fresh, state)]
    found["draws"] = [torch.rand(3, generator=generator) for generator in draws]
    found["memories"] = memories(folder / "memories")
    found["mesh"] = mesh_round_trip(folder / "mesh")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "shard")

    write = sharded_checkpoint.write_tensors
    if rank == 1:
        sharded_checkpoint.write_tensors = full
    found["full"] = error_of(checkpoint.save, 40, **state)
    sharded_checkpoint.write_tensors = write
    found["missing rows"] = error_of(checkpoint.save, 40, table=OwnRows(torch.zeros(2, 1), 3 * rank, 5))
    found["twice"] = error_of(checkpoint.save, 40, table=OwnRows(torch.zeros(3, 1), 2 * rank, 5))
    found["names"] = error_of(checkpoint.save, 40, **{"one" if rank == 0 else "two": 1})
    found["dtypes"] = error_of(checkpoint.save, 40, one=torch.zeros(2, dtype=[torch.int32, torch.int64][rank]))
    found["kinds"] = error_of(checkpoint.save, 40, one=object() if rank == 1 else 3)
    checkpoint_of_drifted = Checkpoint(folder / "drifted")
    checkpoint_of_drifted.save(1, weight=torch.full((2,), float(rank)))
    found["still"] = (checkpoint.latest, sorted(path.name[:13] for path in folder.glob("*step-*")))
    return found


def memories(folder: Path) -> list[bool]:
    """Memories of samplers, one of which has vectors when they are saved, in fresh samplers, alone and in a mixture."""
    rank, found = world().rank, []
    checkpoint = Checkpoint(folder)

    def samplers() -> list[Sampler]:
        memory = CrossBatch(30, 7, counts=[1] * 30, seed=1)
        return [memory, Mixture([CrossBatch(30, 5), Uniform(30, 4, seed=2)])]

    saved = samplers()
    for sampler in saved:
        sampler.draw(torch.arange(4) + 9 * rank)
    if rank == 0:
        assert isinstance(saved[0], CrossBatch)
        saved[0].keep_vectors(torch.ones(4, 2))
    checkpoint.save(1, first=saved[0], second=saved[1])
    fresh = samplers()
    checkpoint.load(first=fresh[0], second=fresh[1])
    for one, other in zip(saved, fresh, strict=True):
        ids = [sampler.draw(torch.arange(4, 8)).ids for sampler in (one, other)]
        found.append(torch.equal(*ids) and (9 * rank + 3) in ids[0])
    return [*found, hasattr(fresh[0], "vectors") == (rank == 0)]


def mesh_round_trip(folder: Path) -> list[Any]:
    """DTensors, and what torch's own reader finds in the files."""
    from importlib import import_module

    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    dcp: Any = import_module("torch.distributed.checkpoint")
    mesh = init_device_mesh("cpu", (2,))
    table: dict[str, Any] = {
        "rows": distribute_tensor(whole(), mesh, [Shard(0)]),
        "same": distribute_tensor(whole(), mesh, [Replicate()]),
    }
    checkpoint = Checkpoint(folder)
    checkpoint.save(1, **table, columns_count=3)
    empty: dict[str, Any] = {name: one * 0 for name, one in table.items()}
    checkpoint.load(**empty)
    columns = error_of(checkpoint.save, 2, table=distribute_tensor(whole(), mesh, [Shard(1)]))
    by_torch: dict[str, Any] = {name: one * 0 for name, one in table.items()}
    if hasattr(dcp, "HuggingFaceStorageReader"):
        (made,) = folder.glob("step-*")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.load(by_torch, storage_reader=dcp.HuggingFaceStorageReader(str(made)))
    else:
        by_torch = table
    return [[one.full_tensor() for one in found.values()] for found in (empty, by_torch)] + [columns]


def error_of(function: Any, *arguments: Any, **named: Any) -> str:
    try:
        function(*arguments, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return folder, together(saved, folder)


def test_as_many_load_what_they_saved(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for rank, found in enumerate(two[1]):
        torch.testing.assert_close(found["numbers"], found["expected"], rtol=0, atol=0)
        assert torch.equal(*found["draws"])
        assert found["latest"] == 30
        assert found["loaded"] == (30, {"position": {"epoch": 3}, "mine": rank})
    assert not torch.equal(two[1][0]["draws"][0], two[1][1]["draws"][0])


def test_states_of_samplers_are_as_long_as_they_are(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in two[1]:
        assert found["memories"] == [True] * 3


def test_dtensors_and_the_reader_of_torch(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in two[1]:
        loaded, by_torch, columns = found["mesh"]
        for one in (*loaded, *by_torch):
            assert torch.equal(one, whole())
        assert columns.startswith("ArgumentError: table: expected whole or cut by rows, Shard(0), got (Shard(dim=1),)")


def test_all_fail_where_one_does(two: tuple[Path, list[dict[str, Any]]]) -> None:
    first, second = two[1]
    assert first["full"] == "OSError: [Errno 28] No space left on device (on rank 1): 'shard'"
    assert second["full"] == "OSError: [Errno 28] No space left on device: 'shard'"
    for found in two[1]:
        assert found["missing rows"].startswith("ArgumentError: table: expected each row in one process, got none has")
        assert "rows 2 to 2, by rank 1" in found["missing rows"]
        assert found["twice"].endswith("got row 2 is twice there, by rank 1")
        assert found["names"].endswith("expected what all processes save, got other names on rank 1")
        assert found["dtypes"].endswith(
            "one: expected int32 (2,) in all processes, as on rank 0, got int64 (2,) on rank 1"
        )
        assert "one: expected a tensor, OwnRows, a generator, something with a state_dict" in found["kinds"]
        assert found["still"] == (30, ["step-00000020", "step-00000030"])


def test_one_process_loads_what_two_saved(two: tuple[Path, list[dict[str, Any]]]) -> None:
    state = things(False)
    with pytest.warns(
        CheckpointWarning, match=r"saved by 2 processes, and 1 load it: nested.generator of each process"
    ):
        loaded = Checkpoint(two[0]).load(**state)
    check_numbers(numbers(state), two[1][0]["expected"])
    assert loaded == (30, {"position": {"epoch": 3}, "mine": 0})
    assert state["nested"]["generator"].initial_seed() == 100


@pytest.mark.parametrize(("first", "count"), [(0, 2), (4, 4), (7, 4), (3, 0)])
def test_any_range_of_rows_can_be_loaded(two: tuple[Path, list[dict[str, Any]]], first: int, count: int) -> None:
    rows = OwnRows(torch.zeros(count, D, dtype=torch.bfloat16), first, N)
    Checkpoint(two[0]).load(half=rows)
    assert torch.equal(rows.tensor, whole(torch.bfloat16)[first : first + count])


def check_numbers(got: dict[str, Any], of_all: dict[str, Any]) -> None:
    """Compare with what the arithmetic says of the rows that a process has."""
    begin = got.pop("first")
    for name, table in (("weight", whole()), ("moment", whole().square()), ("half", whole(torch.bfloat16))):
        rows = got.pop(name)
        assert torch.equal(rows, table[begin : begin + len(rows)]), name
    rows = got.pop("flat")
    assert torch.equal(rows, whole(torch.bfloat16)[begin : begin + len(rows), 1])
    torch.testing.assert_close(got, {name: of_all[name] for name in got}, rtol=0, atol=0)


def loaded_by_some(folder: Path) -> dict[str, Any]:
    state = things(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        Checkpoint(folder).load(**state)
    return numbers(state)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4])
def test_others_load_what_two_saved(two: tuple[Path, list[dict[str, Any]]], size: int) -> None:
    for got in together(loaded_by_some, two[0], size=size):
        check_numbers(got, two[1][0]["expected"])


def test_weights_that_drifted_apart_are_for_as_many_processes(two: tuple[Path, list[dict[str, Any]]]) -> None:
    with pytest.raises(ValueError, match=r"^weight: expected 2 processes, which had different numbers .* got 1; rows"):
        Checkpoint(two[0] / "drifted").load(weight=torch.zeros(2))


@pytest.fixture
def one(tmp_path: Path) -> Path:
    Checkpoint(tmp_path).save(5, table=whole(), epoch=2)
    return tmp_path


def test_what_does_not_fit_is_refused_before_anything_changes(one: Path) -> None:
    checkpoint, table = Checkpoint(one), torch.zeros(N, D, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^other: expected one of epoch, table, which were saved, got none"):
        checkpoint.load(table=table, other=torch.zeros(1))
    with pytest.raises(ValueError, match=r"^table: expected float64 \(11, 3\), as in .*, got float64 \(12, 3\)"):
        checkpoint.load(table=torch.zeros(12, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"^table: expected float64 .*, got float32 \(11, 3\)"):
        checkpoint.load(table=torch.zeros(11, 3))
    assert not table.any()
    assert checkpoint.load(table=table) == (5, {"epoch": 2})
    assert torch.equal(table, whole())


def test_damage_is_found(one: Path) -> None:
    (file,) = one.glob("step-*/shard-*")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    table = torch.zeros(N, D, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"shard-00001-of-00001.safetensors: .*the digest of 'table' differs"):
        Checkpoint(one).load(table=table)
    assert not table.any()
    assert Checkpoint(one).load(table=table, check=False).step == 5
    (manifest,) = one.glob("step-*/manifest.json")
    manifest.write_text(manifest.read_text().replace('"step": 5', '"step": 6'))
    with pytest.raises(ValueError, match=r"manifest.json: the file was changed or is damaged, its digest differs"):
        _ = Checkpoint(one).latest
    (one / "latest").write_text(json.dumps({"folder": "../elsewhere", "sha256": ""}))
    with pytest.raises(ValueError, match=r"latest: .*it names no folder of a checkpoint"):
        _ = Checkpoint(one).latest


def test_the_next_start_removes_half_of_one(one: Path) -> None:
    half = one / ".step-00000006-0123abcd.tmp"
    half.mkdir()
    (half / "shard-00001-of-00001.safetensors").write_bytes(b"half")
    (one / "notes").mkdir()
    assert Checkpoint(one).latest == 5
    assert not half.exists()
    assert (one / "notes").exists()


def test_without_a_checkpoint_there_is_none_to_load(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none").latest is None
    with pytest.raises(FileNotFoundError, match="there is no checkpoint to load"):
        Checkpoint(tmp_path / "none").load()


def test_states_of_an_optimizer_are_made_for_one_that_has_none(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    trained, fresh = (torch.optim.Adam(layer.parameters()) for _ in range(2))
    layer(torch.ones(1, 2)).sum().backward()
    Checkpoint(tmp_path).save(1, optimizer=fresh)
    trained.step()
    Checkpoint(tmp_path).load(optimizer=trained)
    assert not trained.state_dict()["state"]
    Checkpoint(tmp_path).save(2, rows=OwnRows(whole(), 0, N), inner={"rows": OwnRows(whole(), 0, N)})
    with pytest.raises(ValueError, match=r"^inner.rows: expected something that says which rows this process has"):
        Checkpoint(tmp_path).load(inner={"other": 1})
