"""Files of indexes that were cut, changed or are of another kind are refused before a library sees them."""

import json
import pickle
from hashlib import sha256

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from index_cases import KINDS, every_kind
from logq._model_file import DIGESTS, write_tensors
from logq.retrieval import ExactIndex, FaissIndex, UsearchIndex, load_index, make_index
from logq.retrieval.index_file import FILE

VECTORS = np.random.default_rng(0).standard_normal((400, 4)).astype(np.float32)


def rewrite(folder, *, arrays=None, about=None, metadata=None, right_sum=True):
    """Change what is in a file, as somebody would who knows the format, checksum and all."""
    from safetensors import safe_open

    with safe_open(folder / FILE, framework="numpy") as file:
        facts = {**json.loads(file.metadata()["about"]), **(about or {})}
        kept = dict(file.metadata())
    held = {**load_file(folder / FILE), **(arrays or {})}
    held = {name: array for name, array in held.items() if array is not None}
    texts = {**kept, "about": json.dumps(facts), **(metadata or {})}
    if not right_sum:
        save_file(held, folder / FILE, texts)
        return
    del texts[DIGESTS]
    with open(folder / FILE, "wb") as file:
        write_tensors(file, held, texts)


@pytest.fixture
def saved(kind, tmp_path):
    make_index(kind, VECTORS).save(tmp_path)
    return tmp_path


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_refused(saved, share):
    data = (saved / FILE).read_bytes()
    (saved / FILE).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"{FILE}: the file is damaged or truncated"):
        load_index(saved)


@every_kind
def test_any_changed_byte_is_noticed(saved):
    data = bytearray((saved / FILE).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for place in np.linspace(start, len(data) - 1, 20).astype(int):
        changed = data.copy()
        changed[place] ^= 64
        (saved / FILE).write_bytes(changed)
        with pytest.raises(ValueError, match=rf"{FILE}: the file was changed or is damaged"):
            load_index(saved)


@every_kind
def test_a_pickle_is_not_an_index(saved):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('code was run')",))

    (saved / FILE).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=rf"{FILE}: the file is damaged"):
        load_index(saved)


@every_kind
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"format": "other 1"}}, r"expected an index of logq, the file holds other tensors"),
        ({"metadata": {"format": "logq.item_index 9"}}, r"expected version 1 of the format, got '9'"),
        ({"metadata": {"about": "{"}}, r"damaged"),
        ({"metadata": {"about": "[]"}}, r"changed or is damaged"),
        ({"about": {"kind": "os.system"}}, r"expected an index of kind exact, .*, it holds 'os.system'"),
        ({"about": {"metric": "l7"}}, r"expected kind, metric, dim and items"),
        ({"about": {"items": 399}}, r"expected (vectors|ids) as \w+ \(399"),
        (
            {"about": {"dim": 5}},
            r"expected (vectors as float32 \(400, 5\)|vectors of dimension 5|IndexI?\w+ with dimension)",
        ),
        ({"arrays": {"ids": np.zeros(400, dtype=np.int64)}}, r"expected ids >= 0, each once"),
        ({"arrays": {"ids": np.arange(400) - 1}}, r"expected ids >= 0, each once"),
        ({"arrays": {"ids": np.arange(400.0)}}, r"expected ids as int64 \(-1,\), found float64 \(400,\)"),
    ],
)
def test_what_does_not_fit_is_named(saved, change, message):
    rewrite(saved, **change)
    with pytest.raises(ValueError, match=message):
        load_index(saved)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "exact"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrays": {"slots": np.arange(400) + 1}}, r"expected slots below 400, each once"),
        ({"arrays": {"slots": np.zeros(400, dtype=np.int64)}}, r"expected slots below 400, each once"),
        ({"arrays": {"index": None}}, r"expected index as uint8 \(-1,\), found nothing"),
        ({"arrays": {"index": np.zeros(100, dtype=np.uint8)}}, r"cannot be read"),
        ({"about": {"all_slots": "many"}}, r"expected the number of slots and options"),
        ({"about": {"options": {}}}, r"cannot be read"),
    ],
)
def test_what_does_not_fit_a_library_is_named(saved, change, message):
    rewrite(saved, **change)
    with pytest.raises(ValueError, match=message):
        load_index(saved)


@pytest.mark.parametrize("kind", ["faiss-hnsw", "usearch"])
def test_a_library_gets_no_part_of_its_bytes(saved):
    index = load_file(saved / FILE)["index"]
    rewrite(saved, arrays={"index": index[: len(index) // 2]})
    with pytest.raises(ValueError, match=r"the index cannot be read"):
        load_index(saved)


@pytest.mark.parametrize("kind", ["faiss-flat"])
def test_an_index_of_another_kind_or_size_is_refused(saved, tmp_path):
    make_index("faiss-hnsw", VECTORS).save(tmp_path / "hnsw")
    rewrite(saved, arrays={"index": load_file(tmp_path / "hnsw" / FILE)["index"]})
    with pytest.raises(ValueError, match=r"expected IndexFlat with .* got IndexHNSWFlat"):
        load_index(saved)
    make_index("faiss-flat", VECTORS[:300]).save(tmp_path / "small")
    rewrite(saved, arrays={"index": load_file(tmp_path / "small" / FILE)["index"]})
    with pytest.raises(ValueError, match=r"expected IndexFlat with dimension, vectors.*400.*got.*300"):
        load_index(saved)


@every_kind
def test_classes_read_their_own_files_only(saved, kind):
    for family in {ExactIndex, FaissIndex, UsearchIndex} - {type(load_index(saved))}:
        with pytest.raises(ValueError, match=r"expected an index of (kind 'exact'|faiss|usearch)"):
            family.load(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=FILE):
        load_index(tmp_path)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    ExactIndex(VECTORS).save(tmp_path)
    monkeypatch.setattr("logq.retrieval.index_file.write_tensors", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ExactIndex(VECTORS[:10]).save(tmp_path)
    assert len(load_index(tmp_path)) == 400
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("added", [False, True])
def test_numbers_that_numpy_has_not_are_refused(tmp_path, added):
    if added:  # by a library, for all of the process
        pytest.importorskip("ml_dtypes")
    table = {"ids": torch.arange(3), "vectors": torch.zeros(3, 2, dtype=torch.bfloat16)}
    save_tensors(table, tmp_path / FILE, {"format": "logq.item_index 1", "about": "{}"})
    with pytest.raises(ValueError, match=rf"{FILE}: the file is damaged or truncated \(data type 'bfloat16'"):
        load_index(tmp_path)


def test_the_one_digest_of_version_0_1_is_compared(tmp_path):
    index = ExactIndex(VECTORS[:3])
    index.save(tmp_path)
    arrays = load_file(tmp_path / FILE)
    text = b"ids int64 (3,);" + arrays["ids"].tobytes() + b"vectors float32 (3, 4);" + arrays["vectors"].tobytes()
    about = {"kind": "exact", "metric": "inner_product", "dim": 4, "items": 3}
    for digest, right in [(sha256(text).hexdigest(), True), (sha256(b"").hexdigest(), False)]:
        described = json.dumps({**about, "sha256": digest})
        save_file(arrays, tmp_path / FILE, {"format": "logq.item_index 1", "about": described})
        if right:
            assert load_index(tmp_path).ids.tolist() == [0, 1, 2]
        else:
            with pytest.raises(ValueError, match="the file was changed or is damaged, its checksum differs"):
                load_index(tmp_path)
