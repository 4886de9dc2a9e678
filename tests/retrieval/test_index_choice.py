"""Settings that are chosen for a recall: by one half of the queries, and verified on the other."""

import numpy as np
import pytest

from index_cases import INSTALLED
from logq import ArgumentError
from logq.retrieval import ExactIndex, IndexTrial, choose_index, load_index, make_index, measure_index

N, D, USERS, K = 1500, 24, 400, 5
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
QUERIES = RNG.standard_normal((USERS, D)).astype(np.float32)
IDS = RNG.permutation(3 * N)[:N]


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr("logq.retrieval.index_choice._SECONDS", 0.0)


def share(index, queries, vectors=VECTORS, ids=IDS, k=K):
    """The recall, as a student would compute it."""
    found = index.search(queries, k).ids.tolist()
    truth = [ids[np.argsort(-row)[:k]].tolist() for row in queries @ vectors.T]
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("kind", [kind for kind in INSTALLED if kind not in ("faiss-pq",)])
def test_what_is_chosen_finds_enough_and_is_saved(kind, tmp_path):
    seen: list[IndexTrial] = []
    choice = choose_index(kind, VECTORS, QUERIES, 0.9, ids=IDS, k=K, progress=False, report=seen.append)
    assert tuple(seen) == choice.trials
    others = QUERIES[np.random.default_rng(0).permutation(USERS)[USERS // 2 :]]
    assert choice.verified.recall == pytest.approx(share(choice.index, others), abs=1e-9)
    assert choice.verified.recall >= 0.9
    setting = choice.index.search_setting
    if setting is None:
        assert choice.verified.recall > 0.999
        return
    assert (setting.name, setting.value) == (choice.verified.setting, choice.verified.value)
    smaller = [t for t in choice.trials if t.options == choice.chosen.options and t.value < choice.chosen.value]
    assert all(trial.recall - 3 * trial.error < 0.9 for trial in smaller), "none that is smaller would do"
    assert smaller or setting.value in (1, 8)
    assert setting.value < setting.most, "a part of the effort is enough"
    choice.index.save(tmp_path)
    assert share(load_index(tmp_path), others) == pytest.approx(choice.verified.recall, abs=1e-9)


def test_codes_are_built_longer_where_that_is_needed():
    pytest.importorskip("faiss")
    short = choose_index("faiss-pq", VECTORS, QUERIES, 0.3, ids=IDS, k=K, progress=False)
    assert short.chosen.options == {}
    longer = choose_index("faiss-pq", VECTORS, QUERIES, 0.85, ids=IDS, k=K, progress=False)
    assert longer.chosen.options == {"code_bytes": D}
    assert longer.trials[0].options == {}
    assert longer.verified.recall >= 0.85
    assert longer.verified.nbytes > short.verified.nbytes


def test_a_recall_out_of_reach_is_refused_with_the_best():
    pytest.importorskip("faiss")
    trials: list[IndexTrial] = []
    with pytest.raises(ArgumentError, match=r"recall: expected at most what faiss-pq reaches, 0\.\d{4} ± 0") as raised:
        choose_index("faiss-pq", VECTORS, QUERIES, 1.0, ids=IDS, k=K, progress=False, report=trials.append)
    best = max(trials, key=lambda trial: trial.recall)
    assert f"{best.recall:.4f}" in str(raised.value)
    assert f"with code_bytes={D}, nprobe={best.value}" in str(raised.value)
    with pytest.raises(ArgumentError, match=r"with code_bytes=6, nprobe=\d+, got 1.0"):
        choose_index("faiss-pq", VECTORS, QUERIES, 1.0, k=K, progress=False, code_bytes=6)


def test_what_does_not_hold_for_other_queries_is_not_given_out(monkeypatch):
    """With no margin and a half that is easy, the other half is what decides."""
    pytest.importorskip("faiss")
    order = np.random.default_rng(0).permutation(USERS)
    easy = QUERIES.copy()
    index = make_index("faiss-ivf", VECTORS, seed=0)
    index.set_search(1)
    hits = np.array([share(index, query[None], ids=np.arange(N), k=1) for query in QUERIES])
    easy[order[: USERS // 2]] = QUERIES[hits == 1][np.arange(USERS // 2) % int(hits.sum())]
    easy[order[USERS // 2 :]] = QUERIES[hits == 0][np.arange(USERS // 2) % int((1 - hits).sum())]
    with pytest.raises(ArgumentError, match=r"other queries too \(nprobe=1 found 0.0000 where it was not chosen\)"):
        choose_index("faiss-ivf", VECTORS, easy, 0.9, k=1, progress=False)


def test_the_item_that_asks_is_no_answer_to_itself():
    rows = np.arange(0, N, 10)
    exact, worse = (ExactIndex(table, metric="cosine") for table in (VECTORS, np.round(VECTORS)))
    trial = measure_index(worse, exact, VECTORS[rows], 1, own=rows)
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    coarse = np.round(VECTORS) / np.linalg.norm(np.round(VECTORS), axis=1, keepdims=True)
    best = []
    for table in (unit, coarse):
        cosines = unit[rows] @ table.T
        cosines[np.arange(len(rows)), rows] = -2
        best.append(cosines.argmax(1))
    assert trial.recall == pytest.approx(np.mean(best[0] == best[1]))
    assert trial.recall < 1, "with itself as the answer, all would be found"
    assert (trial.about, trial.setting, trial.nbytes) == ("", "", worse.nbytes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recall": 0.0}, "recall: expected a finite number > 0 and <= 1, got 0.0"),
        ({"recall": 1.5}, "recall: expected a finite number"),
        ({"kind": "annoy"}, "kind: expected one of 'exact'"),
        ({"queries": QUERIES[:19]}, "queries: expected at least 20, of which half choose, got 19"),
        ({"own": [1, 2]}, "own: expected an item for each of the 400 queries, got 2"),
        ({"nprobe": 3}, "nprobe: expected none with a recall, which chooses it, got 3"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    pytest.importorskip("faiss")
    arguments = {
        "kind": "faiss-ivf",
        "vectors": VECTORS,
        "queries": QUERIES,
        "recall": 0.9,
        "progress": False,
        **change,
    }
    with pytest.raises(ArgumentError, match=message):
        choose_index(**arguments)
