"""Variables of the environment that change what logq does, and what they are set to."""

import os
from typing import NamedTuple

from logq._arguments import masked

__all__ = ["VARIABLES", "SetVariable", "Variable", "variables_that_are_set"]


class Variable(NamedTuple):
    """A variable that is read.

    Args:
        name: of the variable.
        meaning: what it sets.
        is_secret: whether its value is not to be shown.

    Example:
        >>> next(one.meaning for one in VARIABLES if one.name == "LOGQ_DEBUG")
        'show the traceback of an error, as logq --debug does'
    """

    name: str
    meaning: str
    is_secret: bool = False


VARIABLES = (
    Variable("LOGQ_DEBUG", "show the traceback of an error, as logq --debug does"),
    Variable("LOGQ_TOKEN", "the token of logq serve, as --token", is_secret=True),
    Variable("LOGQ_PROCESS_TIMEOUT", "seconds that processes wait for each other"),
    Variable("WORLD_SIZE", "how many processes torchrun has started"),
    Variable("RANK", "which of them this is"),
    Variable("OMP_NUM_THREADS", "threads of torch and NumPy on a CPU"),
    Variable("MKL_NUM_THREADS", "threads of MKL, which torch multiplies with"),
    Variable("CUDA_VISIBLE_DEVICES", "which GPUs torch sees"),
    Variable("TRITON_INTERPRET", "1 runs kernels for GPUs in Python, for tests"),
    Variable("TRITON_CACHE_DIR", "where Triton keeps compiled kernels"),
    Variable("TORCHINDUCTOR_CACHE_DIR", "where torch.compile keeps what it compiled"),
    Variable("TMPDIR", "where large temporary files go"),
    Variable("HF_ENDPOINT", "the hub of hf://user/name and logq push"),
    Variable("HF_HOME", "where models of the hub are kept"),
    Variable("HF_HUB_OFFLINE", "1 takes models of the hub from there alone"),
    Variable("HF_TOKEN", "who you are on the hub", is_secret=True),
    Variable("QDRANT_API_KEY", "the key of a server of qdrant:URL", is_secret=True),
    Variable("MILVUS_TOKEN", "the token of a server of milvus:URL", is_secret=True),
    Variable("NO_COLOR", "no colors in what commands print"),
    Variable("COLUMNS", "how wide commands print"),
)
"""All of them; those of logq first."""


class SetVariable(NamedTuple):
    """A variable that is set here.

    Example:
        >>> SetVariable("NO_COLOR", "1", "no colors in what commands print").value
        '1'
    """

    name: str
    value: str
    meaning: str


def variables_that_are_set() -> list[SetVariable]:
    """Return those that are set, the values of secrets left out."""
    return [
        SetVariable(one.name, "(set, not shown)" if one.is_secret else masked(os.environ[one.name]), one.meaning)
        for one in VARIABLES
        if os.environ.get(one.name)
    ]
