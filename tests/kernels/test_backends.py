"""Which backend runs an op: by type of device, by choice, and with a third party's backend added."""

import copy
import pickle
from types import ModuleType

import pytest
import torch

from logq import kernels
from logq.functional import sampled_loss
from logq.kernels import backends, reference, reference_draws
from logq.nn import NCELoss
from logq.samplers import Uniform
from problems import problem

pytestmark = pytest.mark.usefixtures("two_backends")


@pytest.fixture
def fake():
    """A third party's backend, which remembers what it was asked for and leaves the work to the reference."""
    module = ModuleType("fake")
    module.DEVICES = ("cpu", "meta")
    module.asked = []

    def loss(objective, input, *arguments, **options):
        module.asked.append(objective.name)
        if input.device.type == "meta":
            return input.new_empty(())
        return reference.sampled_loss(objective, input, *arguments, **options)

    module.sampled_loss = loss
    kernels.register("fake", module)
    yield module
    kernels.unregister("fake")


def test_the_compiled_ops_run_on_the_cpu_and_the_reference_elsewhere():
    assert kernels.active() == kernels.active("cpu")
    assert kernels.active()["sampled_loss"] == "cpp"
    for device in ("cuda", "mps", "xpu", "meta"):
        assert set(kernels.active(device).values()) == {"reference"}
        assert kernels.get("sampled_loss", device) is reference.sampled_loss
    assert set(kernels.active()) == set(kernels.OPS)


def test_losses_run_where_their_tensors_are(fake):
    weight, input = torch.zeros(9, 2, device="meta"), torch.zeros(3, 2, device="meta")
    candidates = Uniform(9, 4, seed=1).draw(torch.tensor([1, 2, 3]))
    on_meta = type(candidates)(*(None if x is None else x.to("meta") for x in candidates))
    assert sampled_loss("nce", input, weight, on_meta).device.type == "meta"
    assert fake.asked == ["nce"]
    fake.DEVICES = ("cuda",)
    kernels.unregister("fake")
    kernels.register("fake", fake)
    sampled_loss("nce", torch.zeros(3, 2), torch.zeros(9, 2), candidates)
    assert fake.asked == ["nce"]


def test_a_registered_backend_is_preferred(fake):
    assert kernels.active()["sampled_loss"] == "fake"
    assert kernels.active("cuda")["sampled_loss"] == "reference"
    assert kernels.active()["alias_table"] == "cpp"  # it has no such function
    assert list(kernels.BACKENDS) == ["fake", "cpp", "reference"]
    p = problem()
    expected = sampled_loss("nce", p.input, p.weight, p.candidates)
    assert fake.asked == ["nce"]
    NCELoss(3, 11, Uniform(11, 4, seed=1))(p.input.float(), p.candidates.targets)
    assert fake.asked == ["nce", "nce"]
    with kernels.use("cpp"):
        torch.testing.assert_close(sampled_loss("nce", p.input, p.weight, p.candidates), expected)
    assert fake.asked == ["nce", "nce"]
    with kernels.use("fake"):
        assert kernels.active()["sampled_loss"] == "fake"
        assert kernels.active()["alias_table"] == "reference"


def test_a_backend_for_all_devices(fake):
    del fake.DEVICES
    kernels.unregister("fake")
    kernels.register("fake", fake)
    for device in ("cpu", "cuda", "a new one"):
        assert kernels.active(device)["sampled_loss"] == "fake"


def test_unregistering_brings_back_what_was(fake):
    kernels.unregister("fake")
    assert kernels.active()["sampled_loss"] == "cpp"
    assert list(kernels.BACKENDS) == ["cpp", "reference"]
    kernels.register("fake", fake)


def test_a_choice_outlives_a_registration(fake):
    with kernels.use("reference"):
        other = ModuleType("other")
        other.alias_table = reference_draws.alias_table
        kernels.register("other", other)
        assert set(kernels.active().values()) == {"reference"}
    assert kernels.active()["alias_table"] == "other"
    kernels.unregister("other")


def test_what_is_refused(fake):
    with pytest.raises(ValueError, match=r"^name: expected one that is not taken .*got 'cpp'"):
        kernels.register("cpp", fake)
    with pytest.raises(TypeError, match=r"^backend: expected a Backend or a module, got str"):
        kernels.register("mine", "logq.kernels.reference")
    with pytest.raises(
        ValueError, match=r"^backend: expected functions among sampled_loss, .* got none of them in empty"
    ):
        kernels.register("mine", ModuleType("empty"))
    fake.DEVICES = "cpu"
    with pytest.raises(TypeError, match=r"^backend: expected DEVICES to be a tuple"):
        kernels.register("mine", fake)
    fake.DEVICES = ("cpu", "meta")
    for name in ("reference", "mine"):
        with pytest.raises(ValueError, match=r"^name: expected a backend that was registered"):
            kernels.unregister(name)
    assert list(kernels.BACKENDS) == ["fake", "cpp", "reference"]


# ------------------------------------------------------------------------------------------------ backends as classes


class Sums(kernels.Backend):
    """A third party's backend with one op, as a class."""

    device_types = ("cpu",)

    def log_normalizer(self, input, weight, bias, **options):
        return super().log_normalizer(input, weight, bias, **options) + 1


@pytest.fixture
def sums():
    kernels.register("sums", Sums())
    yield kernels.backend("sums")
    kernels.unregister("sums")


def test_a_backend_inherits_the_reference_and_shows_what_it_lacks(sums):
    options = {"temperature": 1.0, "cosine": False}
    assert kernels.active()["log_normalizer"] == "sums"
    input, weight = torch.zeros(1, 2), torch.zeros(4, 2)
    torch.testing.assert_close(
        kernels.get("log_normalizer")(input, weight, None, **options).exp(), torch.tensor([4 * torch.e])
    )
    assert sums.missing == tuple(op for op in kernels.OPS if op != "log_normalizer")
    assert repr(sums) == f"<Sums 'sums' for cpu: all ops but {', '.join(sums.missing)}>"
    assert kernels.active()["sampled_loss"] == "cpp"  # the next one has it


def test_a_module_with_the_reference_s_own_function_has_that_op():
    module = ModuleType("mine")
    module.draws = reference_draws.draws
    kernels.register("mine", module)
    try:
        assert kernels.active("xpu")["draws"] == "mine"
        assert "draws" not in kernels.backend("mine").missing
    finally:
        kernels.unregister("mine")


@pytest.mark.parametrize("name", ["reference", "cpp", "sums"])
def test_backends_survive_copies_and_pickles(name, sums):
    backend = kernels.backend(name)
    assert copy.deepcopy(backend) is backend
    assert pickle.loads(pickle.dumps(backend)) is backend


def test_a_pickled_backend_that_is_registered_no_more(sums):
    data = pickle.dumps(sums)
    kernels.unregister("sums")
    with pytest.raises(ValueError, match=r"^backend: expected one of cpp, reference, got 'sums'"):
        pickle.loads(data)
    kernels.register("sums", sums)


def test_an_op_that_is_none():
    with pytest.raises(ValueError, match=r"^op: expected one of sampled_loss, .*, got 'sorcery'"):
        kernels.get("sorcery")


def test_a_built_in_backend_whose_package_is_missing_is_passed_over(monkeypatch):
    """As one for GPUs is where its compiler has no wheels; it is not even imported."""
    entry = backends.BuiltIn("logq.kernels.nowhere:Backend", ("cpu",), needs=("a_package_that_is_not",))
    before = dict(kernels.BACKENDS)
    monkeypatch.setattr(backends, "_chosen", {op: {} for op in (*kernels.OPS, *backends.BESIDE)})
    kernels.BACKENDS.clear()
    kernels.BACKENDS.update({"far": entry, **before})
    try:
        assert kernels.active()["sampled_loss"] == "cpp"
        with pytest.raises(ImportError, match=r"^backend far: needs a_package_that_is_not, which is not installed"):
            kernels.backend("far")
        with pytest.raises(ImportError, match="not installed"), kernels.use("far"):
            pass
    finally:
        kernels.BACKENDS.clear()
        kernels.BACKENDS.update(before)
