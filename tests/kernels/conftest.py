"""What tests of kernels share."""

from collections.abc import Iterator

import pytest

from logq import kernels
from logq.kernels import backends


@pytest.fixture
def two_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiled backend and the reference alone, whatever others come with the library."""
    before = dict(kernels.BACKENDS)
    monkeypatch.setattr(backends, "_chosen", {op: {} for op in (*kernels.OPS, *backends.BESIDE)})
    kernels.BACKENDS.clear()
    kernels.BACKENDS.update({name: before[name] for name in ("cpp", "reference")})
    yield
    kernels.BACKENDS.clear()
    kernels.BACKENDS.update(before)


@pytest.fixture
def interpreted() -> Iterator[None]:
    """Everything on the CPU by Triton's kernels, in its interpreter."""
    from logq.kernels.triton import TritonBackend

    class Interpreted(TritonBackend):
        name = "interpreted"
        device_types = ("cpu",)

    kernels.register("interpreted", Interpreted())
    try:
        with kernels.use("interpreted"):
            yield
    finally:
        kernels.unregister("interpreted")
