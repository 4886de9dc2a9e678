"""How a process joins those that train with it, and makes sure that all train the same, and all fail where one does."""

import atexit
import builtins
import importlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any, TypeAlias, TypeVar, cast

import torch

from logq._arguments import ArgumentError, Verbatim
from logq._launch import World, launched
from logq.processes import Group, LostProcessError, all_bytes, is_joined, meeting_device, world

__all__ = ["all_or_none", "all_values", "check_same", "fresh_store", "join", "leave"]

T = TypeVar("T")

Store: TypeAlias = "torch.distributed.distributed_c10d.Store"

JOIN_SECONDS = 30
"""How long processes wait for each other when they join: a rendezvous that hangs is to fail, so that it is repeated."""

SECONDS = 120.0
"""How long one process waits for another, unless LOGQ_PROCESS_TIMEOUT says how long."""


def join(device: torch.device | str = "cpu") -> World:
    """Join the processes that torchrun has started, if it has and they have not joined yet.

    The group is left when Python ends. It speaks gloo on the CPU, and nccl besides where `device` is a GPU. A process
    waits for another for LOGQ_PROCESS_TIMEOUT seconds, 120 by default.

    Args:
        device: where the processes will compute.

    Raises:
        ArgumentError: a variable of the environment is missing or wrong.
        LostProcessError: the others do not come within 30 seconds, or within LOGQ_PROCESS_TIMEOUT if that is more.

    Example:
        >>> join()
        World(rank=0, size=1, local_rank=0)
    """
    there = launched()
    if is_joined() or there.size == 1:
        return world()
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        hint = "start with torchrun, or unset WORLD_SIZE to work alone"
        raise ArgumentError(missing[0], f"where the {there.size} processes of WORLD_SIZE meet", Verbatim("none"), hint)
    seconds = _timeout()
    backend = "cpu:gloo,cuda:nccl" if torch.device(device).type == "cuda" else "gloo"
    # Who waits longer for others on purpose does so here, too: on a busy machine they may start at different times.
    to_join = max(JOIN_SECONDS, seconds if os.environ.get("LOGQ_PROCESS_TIMEOUT") else 0)
    within = timedelta(seconds=to_join)
    began = time.monotonic()
    # Its functions keep the group that is there when they are imported, by default arguments, so that it would outlive
    # `leave`: a thread of it that frees a tensor while Python ends aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    try:
        store, rank, size = next(torch.distributed.rendezvous("env://", timeout=within))  # pyright: ignore[reportPrivateImportUsage]
        store = fresh_store(store, rank, size, seconds=to_join)
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=within)
    except (RuntimeError, TimeoutError, ValueError) as error:
        raise LostProcessError(f"join {there.size} processes", there.rank, (), time.monotonic() - began) from error
    # torch 2.14 made it public; before that it had an underscore, and now that one warns.
    part: Any = torch.distributed
    set_timeout = part.set_timeout if hasattr(part, "set_timeout") else part.distributed_c10d._set_pg_timeout
    set_timeout(timedelta(seconds=seconds))
    atexit.register(leave)
    return world()


def fresh_store(store: Store, rank: int, size: int, *, seconds: float = 30.0) -> Store:
    """A part of a store that nobody has written to before this start of the processes.

    torchrun restarts dead processes with the store that the dead ones used. init_process_group then finds the addresses
    of those (keys such as default_pg/0//cpu//0/1), connects to them and waits for its whole timeout. How often torchrun
    restarted does not tell starts apart: each machine counts its own failures. So the first process draws a name, and
    tells it to each other one in answer to a number which that one has drawn.

    Args:
        store: that all processes have, such as torch.distributed.rendezvous returns it.
        rank: of this process.
        size: how many there are.
        seconds: after which it gives up.

    Raises:
        TimeoutError: not all were there in time.

    References:
        https://github.com/pytorch/pytorch/issues/135712, and pull request 135957, which relies on a new store for each
        restart that the agent does not make.

    Example:
        >>> store = fresh_store(torch.distributed.HashStore(), rank=0, size=1)
        >>> store.set("address", "here")
        >>> store.get("address")
        b'here'
    """
    ends = time.monotonic() + seconds
    name = secrets.token_hex(8)  # of this start for the first process, of this process for any other
    if rank == 0:
        answered: dict[int, str] = {}
        missing = set(range(1, size))
        while missing:
            for other in sorted(missing):
                asked = _value(store, f"logq/asks/{other}")
                if asked and asked != answered.get(other):
                    store.set(f"logq/answer/{other}", f"{asked} {name}")
                    answered[other] = asked
                if _value(store, f"logq/{name}/{other}"):
                    missing.remove(other)
            _pause(ends, f"ranks {', '.join(map(str, sorted(missing)))} did not join within {seconds:g} seconds")
    else:
        store.set(f"logq/asks/{rank}", name)
        while not (answer := _value(store, f"logq/answer/{rank}")).startswith(f"{name} "):
            _pause(ends, f"rank 0 did not join within {seconds:g} seconds")
        name = answer.split()[1]
        store.set(f"logq/{name}/{rank}", "there")
    return torch.distributed.distributed_c10d.PrefixStore(f"logq/{name}", store)


def _value(store: Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def _pause(ends: float, message: str) -> None:
    if time.monotonic() > ends:
        raise TimeoutError(message)
    time.sleep(0.01)


def leave() -> None:
    """Leave the group that `join` has made; the others are not waited for.

    Example:
        >>> leave()
    """
    atexit.unregister(leave)
    if is_joined():
        torch.distributed.destroy_process_group()


def _timeout() -> float:
    text = os.environ.get("LOGQ_PROCESS_TIMEOUT", "")
    try:
        seconds = float(text or SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentError("LOGQ_PROCESS_TIMEOUT", "seconds above 0", text)
    return seconds


def all_values(value: Any, doing: str, group: Group = None) -> list[Any]:
    """What each process has, in the order of ranks.

    Args:
        value: as JSON can hold it.
        doing: what it is for, should another process be lost.
        group: the processes.

    Example:
        >>> all_values({"lr": 0.1}, "compare settings")
        [{'lr': 0.1}]
    """
    if world(group).size == 1:
        return [value]
    own = json.dumps(value).encode()
    return [json.loads(one) for one in all_bytes(own, meeting_device(group), group, doing=doing)]


def all_or_none(action: Callable[[], T], device: torch.device | str = "cpu", group: Group = None) -> T:
    """What an action returns; where it raises in one process, all of them raise, and none waits for it.

    Args:
        action: what this process is to do, such as to write its file; no exchanges with others.
        device: that the group's exchanges use.
        group: the processes.

    Raises:
        Exception: what `action` raised here; in other processes one of the same built-in class that names the rank.

    Example:
        >>> all_or_none(lambda: 3)
        3
    """
    failure: BaseException | None = None
    found: Any = None
    try:
        found = action()
    except BaseException as error:  # Ctrl-C, too: the others are told before this process ends
        failure = error
    every = all_bytes(b"" if failure is None else _said(failure), device, group, doing="see that none has failed")
    if failure is not None:
        raise failure
    for rank, said in enumerate(every):
        if said:
            raise _raised_by(rank, said)
    return cast(T, found)


def _said(error: BaseException) -> bytes:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    of_system = [error.errno, error.strerror, error.filename] if isinstance(error, OSError) and error.errno else []
    return json.dumps([kinds, str(error), of_system], default=str).encode()


def _raised_by(rank: int, said: bytes) -> Exception:
    kinds, text, of_system = json.loads(said)
    if of_system:
        number, reason, name = of_system
        return OSError(number, f"{reason} (on rank {rank})", name)
    known = (getattr(builtins, name, None) for name in kinds)
    kind = next(kind for kind in known if isinstance(kind, type))  # BaseException at the latest
    simple = (FloatingPointError, MemoryError, ValueError)
    return next((one for one in simple if issubclass(kind, one)), RuntimeError)(f"rank {rank}: {text or kinds[0]}")


def check_same(facts: Mapping[str, Any], group: Group = None) -> None:
    """Check that all processes train the same, before they begin.

    Args:
        facts: what is to be the same, by name, as JSON can hold it.
        group: the processes.

    Raises:
        ArgumentError: something differs; the message names the first such fact, and what which ranks have.

    Example:
        >>> check_same({"log": "a5f3", "lr": 0.1})
    """
    if world(group).size == 1:
        return
    every = all_values({name: _short(value) for name, value in facts.items()}, "compare what is trained", group)
    first = every[0]
    for name in dict.fromkeys(name for one in every for name in one):
        other = next((one.get(name) for one in every if one.get(name) != first.get(name)), None)
        differ = [rank for rank, one in enumerate(every) if one.get(name) != first.get(name)]
        if differ:
            ranks = f"rank{'s' * (len(differ) > 1)} {', '.join(map(str, differ[:8]))}{', ...' * (len(differ) > 8)}"
            expected = f"the same in all processes: {first.get(name, 'none')} as on rank 0"
            raise ArgumentError(name, expected, Verbatim(f"{other or 'none'} on {ranks}"))


def _short(value: Any) -> str:
    """A text for messages that is as short as it can be, and another one for another value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 60 else f"{text[:24]}... ({blake2b(text.encode(), digest_size=8).hexdigest()})"
