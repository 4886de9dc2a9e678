"""Items that are more than an id: their vectors against a loop, cold items that are found, files, indexes and ONNX."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.logs import Features, Identifiers, Interactions
from logq.recommenders import EGES, MIND, SDM, Popularity, Recommender, SASRec, TwoTower, YoutubeDNN
from logq.recommenders.encoding.feature_tables import Projection, item_inputs
from logq.recommenders.encoding.item_content import ContentTable, ItemContent
from model_cases import ITEM_FEATURES, C, D, item_codes, item_dense

# ------------------------------------------------------------------------------------------------ vectors, by hand


def table(kind: str, dropout: float = 0.0, added: int = 0) -> tuple[ContentTable, ItemContent]:
    torch.manual_seed(2)
    content = ItemContent(kind, ITEM_FEATURES, item_codes(), item_dense(), dropout, added)
    made = ContentTable(content.values(C), content, C, D, std=0.5).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return made, content


def by_hand(made: ContentTable, code: int, values: dict[str, Tensor]) -> Tensor:
    """Feature after feature, value after value."""
    parts = []
    for name, of_values in zip(ITEM_FEATURES, made.features.tables, strict=True):
        codes = [c for c in values[name].reshape(-1).tolist() if c >= 0]
        rows = [of_values.weight[c] for c in codes]
        parts.append(sum(rows) / len(rows) if rows else torch.zeros(D).double())
    image, projection = values["image"], made.features.projections[0]
    x = (image - projection.center) / projection.scale
    there = bool((image != 0).any())
    parts.append(projection.linear.weight @ x + projection.linear.bias if there else torch.zeros(D).double())
    if made.network is None:
        mixed = sum(parts)
    else:
        first, second = made.network.layers
        mixed = second.weight @ (first.weight @ torch.cat(parts) + first.bias).clamp(min=0) + second.bias
    return made.ids.table.weight[min(code, made.ids.num_ids)] + mixed


@pytest.mark.parametrize("kind", ["sum", "network"])
def test_vectors_are_the_loop_that_a_student_would_write(kind):
    made, content = table(kind, added=2)
    made.eval()
    values = {**content.item_codes, **content.item_dense}
    expected = torch.stack([by_hand(made, code, {n: v[code] for n, v in values.items()}) for code in range(C)])
    close = {"rtol": 1e-10, "atol": 1e-12}
    with torch.no_grad():
        torch.testing.assert_close(made.every(), expected, **close)
    codes = torch.tensor([[3, 3, -1], [C - 1, 5, 4], [-1, -1, -1]])
    padded = torch.where(codes[..., None] >= 0, expected[codes.clamp(min=0)], 0.0)
    torch.testing.assert_close(made.padded(codes), padded, **close)
    torch.testing.assert_close(made.mean(codes), padded.sum(1) / torch.tensor([[2], [3], [1]]), **close)
    torch.testing.assert_close(made(torch.tensor([7, 0, 7])), expected[[7, 0, 7]], **close)
    new = {"brand": torch.tensor([3]), "genres": torch.tensor([[1, 2, -1]]), "image": torch.ones(1, 3).double()}
    cold = by_hand(made, C, {name: row[0] for name, row in new.items()})
    torch.testing.assert_close(made.of_features(new)[0], cold, **close)


@pytest.mark.parametrize("kind", ["sum", "network"])
def test_gradients_are_those_of_finite_differences(kind):
    made, _ = table(kind)
    codes = torch.tensor([[3, 8, -1], [5, 3, 4]])
    weights = [made.ids.table.weight, made.features.tables[1].weight, made.features.projections[0].linear.weight]

    def of(*_: Tensor) -> tuple[Tensor, Tensor]:
        return made.mean(codes), made(codes[1])

    assert torch.autograd.gradcheck(of, weights)


def test_ids_are_left_out_at_random_in_training_alone():
    made, _ = table("sum", dropout=0.5)
    made.eval()
    known = made.every()
    content_alone = known - made.ids.table.weight[:C] + made.ids.table.weight[C]
    torch.manual_seed(1)
    found = made.train()(torch.arange(C).repeat(2))
    assert torch.equal(found[:C], found[C:]), "an item is the same wherever it is in a call"
    is_dropped = [bool(torch.allclose(row, other)) for row, other in zip(found[:C], content_alone, strict=True)]
    is_known = [bool(torch.allclose(row, other)) for row, other in zip(found[:C], known, strict=True)]
    assert all(a != b for a, b in zip(is_dropped, is_known, strict=True))
    assert 4 < sum(is_dropped) < 19


def test_vectors_from_elsewhere_come_in_alike_whatever_their_origin_and_size():
    rng = np.random.default_rng(0)
    plain = torch.from_numpy(rng.normal(size=(200, 5)))
    plain[7] = 0.0
    moved = torch.where((plain != 0).any(1, keepdim=True), 1000 * plain + 3000, 0.0)
    made = []
    for vectors in (plain, moved):
        torch.manual_seed(3)
        projection = Projection(vectors, 4, std=1.0).double()
        torch.nn.init.ones_(projection.linear.bias)
        made.append(projection(vectors))
    torch.testing.assert_close(made[0], made[1], rtol=1e-6, atol=1e-6)
    assert not made[0][7].any()
    kept = plain[[i for i in range(200) if i != 7]]
    assert torch.allclose(projection.center, 1000 * kept.mean(0) + 3000)
    assert torch.allclose(projection.scale, 1000 * (kept - kept.mean(0)).square().mean().sqrt())


def test_vectors_are_held_once_and_not_saved_with_the_weights():
    ids = Identifiers(np.arange(4))
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    vectors.setflags(write=False)
    features = Features.from_vectors(np.arange(4), vectors, ids)
    assert np.shares_memory(features.dense["vector"], vectors)
    inputs = item_inputs(features)
    content = ItemContent("sum", **inputs)
    made = ContentTable(content.values(4), content, 4, 3, std=0.1)
    assert np.shares_memory(made.values.dense_0.numpy(), vectors)
    assert not [name for name in made.state_dict() if "values" in name]


# ------------------------------------------------------------------------- cold items, on data with a known answer

GENRES, EACH = 4, 8
QUICK: dict[str, Any] = {
    "dim": 16,
    "epochs": 12,
    "lr": 0.02,
    "seed": 1,
    "id_dropout": 0.3,
    "patience": None,
    "pretrain": 0,
    "dropout": 0.0,
}
CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "YoutubeDNN": (YoutubeDNN, {"hidden": (), "content": "sum", "num_sampled": 16}),
    "MIND": (MIND, {"hidden": (), "interests": 2, "content": "sum", "num_sampled": 16}),
    "SDM": (SDM, {"heads": 2, "short_length": 3, "content": "network", "num_sampled": 16}),
    "TwoTower": (TwoTower, {"hidden": (), "item_hidden": (), "content": "sum", "temperature": 0.2}),
    "SASRec": (SASRec, {"blocks": 1, "content": "network", "num_sampled": 16, "batch_size": 8}),
}


def likes(seed: int = 0) -> Interactions:
    """Each user likes the items of one genre; items have a genre, a vector that says it, and a price that does not."""
    rng = np.random.default_rng(seed)
    sessions = [[f"g{u % GENRES}-{i}" for i in rng.permutation(EACH)[:5]] for u in range(80)]
    log = Interactions.from_sessions(sessions)
    names = [str(name) for name in log.item_ids.keys]
    genre = [name[:2] for name in names]
    return log.with_features(
        items=Features.from_frame(
            {
                "item": names,
                "genre": genre,
                "price": rng.normal(10, 3, len(names)),
                "look": [vector_of(name) for name in genre],
            },
            log.item_ids,
            numeric=["price"],
        )
    )


def vector_of(genre: str) -> list[float]:
    rng = np.random.default_rng(int(genre[1:]))
    return (5 + rng.normal(size=6)).tolist()


COLD = [f"cold-g{genre}-{n}" for genre in range(GENRES) for n in range(2)]


def described(by: str) -> dict[str, list[Any]]:
    genres = [name[5:7] for name in COLD]
    return {"genre": genres} if by == "genre" else {"look": [vector_of(genre) for genre in genres]}


def share_of_own_genre(model: Recommender, **how: Any) -> float:
    histories = [[f"g{genre}-{a}", f"g{genre}-{b}"] for genre in range(GENRES) for a, b in ((0, 1), (5, 2), (7, 3))]
    found = model.recommend(histories=histories, k=2, allow=COLD, **how).items
    own = [[name[5:7] == history[0][:2] for name in row] for row, history in zip(found, histories, strict=True)]
    return float(np.mean(own))


@pytest.mark.parametrize("by", ["genre", "look"])
@pytest.mark.parametrize("name", CLASSES)
def test_a_cold_item_is_recommended_to_those_who_like_its_genre(name, by, tmp_path):
    kind, options = CLASSES[name]
    log = likes()
    features = log.item_features
    assert features is not None
    kept = Features(
        {n: v for n, v in features.values.items() if n == by},
        {n: c for n, c in features.codings.items() if n == by},
        dense={n: v for n, v in features.dense.items() if n in (by, "price")},
        scales=features.scales,
    )
    model = kind(**QUICK, **options).fit(log.with_features(items=kept), progress=False)
    index = model.index()
    first = len(log.item_ids)
    index.add(list(range(first, first + len(COLD))), model.new_item_vectors(described(by)))
    added = dict(enumerate(COLD, first))
    with_index = share_of_own_genre(model, index=index, added=added)
    model.add_items(COLD, described(by))
    assert share_of_own_genre(model) == with_index > 0.9
    # From then on they may be in histories, and are there once the model was saved.
    asked = [[cold] for cold in COLD]
    found = model.recommend(histories=asked, k=3, allow=log.item_ids.keys)
    assert (
        np.mean([[item[:2] == cold[0][5:7] for item in row] for row, cold in zip(found.items, asked, strict=True)])
        > 0.9
    )
    model.save(tmp_path)
    again = Recommender.load(tmp_path)
    assert again.item_ids.tolist() == [*log.item_ids.keys.tolist(), *COLD]
    loaded = again.recommend(histories=asked, k=3, allow=log.item_ids.keys)
    assert np.array_equal(loaded.items, found.items)
    assert np.allclose(loaded.scores, found.scores, atol=1e-5)
    more = again.add_items(["later"], {by: described(by)[by][:1]})
    assert more.known.added == len(COLD) + 1
    assert more.similar_items("later", k=2).items.tolist() == COLD[:2]


def test_without_content_or_features_there_is_no_cold_item():
    log = likes()
    model = SASRec(dim=8, epochs=1, seed=1).fit(log, progress=False)
    hint = r'SASRec learns nothing from side information of items; content="sum" or "network" learns from it'
    with pytest.raises(ValueError, match=hint):
        model.add_items(["x"], {"genre": ["g1"]})
    with pytest.raises(ValueError, match=r"Popularity learns nothing from side information of items$"):
        Popularity().fit(log, progress=False).new_item_vectors({"genre": ["g1"]})
    bare = Interactions.from_sessions([["a", "b", "c"]] * 4)
    with pytest.raises(ValueError, match="content: expected \"none\", as the log has no features of items, got 'sum'"):
        SASRec(content="sum", dim=8).fit(bare, progress=False)
    graph = EGES(dim=8, epochs=1, seed=1).fit(log, progress=False)
    with pytest.raises(ValueError, match='metric: expected "cosine" for EGES'):
        graph.new_item_vectors({"genre": ["g1"]})
    assert graph.new_item_vectors({"look": [vector_of("g1")]}, metric="cosine").shape == (1, 8)


def test_bad_new_items_are_named_and_change_nothing():
    model = YoutubeDNN(dim=8, hidden=(), epochs=1, seed=1, content="sum").fit(likes(), progress=False)
    before = model.item_vectors
    for ids, features, problem in (
        (["x"], {}, "item_features: expected some of genre"),
        (["g1-1"], {"genre": ["g1"]}, "ids: expected items that the model does not know, got 'g1-1'"),
        (["x", "x"], {"genre": ["g1", "g1"]}, "ids: expected different ids, got 'x' twice, at position 1"),
        (["x"], {"genre": ["g1", "g2"]}, "item_features: expected 1 values of 'genre', one for each id, got 2"),
        (["x"], {"color": ["red"]}, "item_features: expected genre, price, look, got 'color'"),
        (["x"], {"look": [[1.0, 2.0]]}, "look: expected 6 numbers in each vector, as before, got 2 in row 1"),
        ([7], {"genre": ["g1"]}, "ids: expected strings, as the ids of this log are, got 7"),
    ):
        with pytest.raises((ValueError, TypeError), match=problem.replace("(", r"\(")):
            model.add_items(ids, features)
    assert np.array_equal(model.item_vectors, before)
    assert model.known.added == 0
    with pytest.raises(ValueError, match="item_features: expected values that the model knows, got 'g9' for 'genre'"):
        model.new_item_vectors({"genre": ["g9"]})
    assert model.new_item_vectors({"genre": ["g9"]}, unknown="ignore").shape == (1, 8)


def test_biases_and_offsets_of_new_items_are_in_their_rows():
    options: dict[str, Any] = {"item_bias": True, "objective": "negative_sampling", "sampler": "unigram"}
    model = YoutubeDNN(dim=8, hidden=(), epochs=2, seed=1, content="sum", **options).fit(likes(), progress=False)
    rows = model.new_item_vectors({"genre": ["g1", None]})
    bias = model.model.item_bias.detach().numpy()
    lowest = (model.search_vectors[:, -1] - bias).min()
    assert np.allclose(rows[:, -1], bias.mean() + lowest, atol=1e-5)
    model.add_items(["x", "y"], {"genre": ["g1", None]})
    assert np.allclose(model.search_vectors[-2:], rows, atol=1e-5)


@pytest.mark.slow
def test_the_query_tower_is_exported_with_content(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = SASRec(dim=8, blocks=1, epochs=1, seed=1, content="sum").fit(likes(), progress=False)
    model.add_items(COLD, described("genre"))
    assert model.export(tmp_path / "tower.onnx") == ["history"]
    session = runtime.InferenceSession(tmp_path / "tower.onnx")
    codes = np.array([[3, len(model.item_ids) - 1, -1], [5, 0, 2]])
    (found,) = session.run(None, {"history": codes})
    names = [[str(model.item_ids[code]) for code in row if code >= 0] for row in codes]
    assert np.allclose(found, model.query_vectors(histories=names), atol=1e-4)


def test_a_model_goes_on_with_items_that_it_took_in():
    model = YoutubeDNN(hidden=(), content="sum", num_sampled=16, **QUICK).fit(likes(), progress=False)
    model.add_items(COLD, described("genre"))
    sessions = [[f"cold-g{u % GENRES}-0", f"g{u % GENRES}-1", f"later-g{u % GENRES}"] for u in range(16)]
    users = range(1000, 1016)
    more = Interactions.from_arrays(np.repeat(users, 3), np.concatenate(sessions))
    table = {"item": list(more.item_ids.keys), "genre": [name.split("g")[1][:1] for name in more.item_ids.keys]}
    table["genre"] = [f"g{genre}" for genre in table["genre"]]
    model.fit(more.with_features(items=Features.from_frame(table, more.item_ids)), warm=True, progress=False)
    assert {*COLD, "later-g1"} <= {*model.item_ids.tolist()}
    assert model.known.added == 0
    assert model.model.num_items == len(model.item_ids) == len(model.search_vectors)
    genres = [model.recommend(histories=[f"later-g{g}"], k=1, allow=COLD).items[0][5:7] for g in range(GENRES)]
    assert genres == [f"g{g}" for g in range(GENRES)]


def test_pretrained_ids_start_there():
    model = SASRec(dim=8, blocks=1, epochs=1, seed=1, content="sum", pretrain=1, lr=1e-9).fit(likes(), progress=False)
    ids = model.model.watched.ids.table.weight.detach().numpy()
    assert ids.shape == (GENRES * EACH + 1, 8)
    assert np.abs(ids[:-1]).max() > 0.05, "not those that were drawn with a deviation of 0.02"
