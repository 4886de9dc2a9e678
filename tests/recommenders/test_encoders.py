"""What every model for recommendations keeps to: shapes, padding, order of rows, gradients, files, and learning."""

import io

import pytest
import torch
from torch import Tensor

from logq import recommenders
from logq.functional import full_softmax_loss
from logq.optim import LazyAdam
from logq.recommenders.encoding.encoders import RetrievalModel
from model_cases import MODELS, C, D, batch, make, take, wider

WINDOWS = ("eges", "airbnb")
"""Models that learn from an item and those around it."""

FOLLOWS = torch.randperm(C, generator=torch.Generator().manual_seed(5))
"""The item that comes after each item, in a world to be learned."""


def close(actual, expected, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def logits(model: RetrievalModel, columns: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    queries, targets = model.training_queries(columns)
    scores = queries @ model.item_vectors().T
    return scores if model.item_bias is None else scores + model.item_bias, targets


def test_every_model_has_a_case():
    kinds = {type(make(name)).__name__ for name in MODELS}
    assert kinds == {name for name in recommenders.__all__ if name.endswith("Encoder")}


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_finite_numbers(name):
    """A row without a history and one of unknown users among them."""
    model, columns = make(name).eval(), batch()
    query = model.query(columns)
    assert query.shape in {(5, D), (5, getattr(model, "num_interests", 0), D)}
    assert query.isfinite().all()
    queries, targets = model.training_queries(columns)
    assert queries.shape == (len(targets), D)
    assert queries.isfinite().all()
    assert (targets >= 0).all()
    every = model.item_vectors()
    assert every.shape == (C, D)
    some = torch.tensor([5, 0, 22, 5])
    close(model.item_vectors(some), every[some])
    if model.item_table is not None:
        assert model.item_table.shape == (C, D)
        assert any(model.item_table is parameter for parameter in model.parameters())
    assert model.item_bias is None or model.item_bias.shape == (C,)


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name):
    model = make(name).eval()
    for one, other in (
        (batch(), wider(batch())),
        (take(batch(), torch.tensor([1])), take(batch(), torch.tensor([0, 1]))),
    ):
        rows = slice(-len(one["history"]), None)  # alone, the second row is cut to three places
        close(model.query(other)[rows], model.query(one))
    many, few = model.training_queries(wider(batch())), model.training_queries(batch())
    close(many[0], few[0])
    assert torch.equal(many[1], few[1])


@pytest.mark.parametrize("name", MODELS)
def test_rows_do_not_know_of_one_another(name):
    model, columns = make(name).eval(), batch()
    order = torch.tensor([4, 2, 0, 3, 1])
    close(model.query(take(columns, order)), model.query(columns)[order])
    losses = [
        torch.cat([model.training_queries(take(columns, rows))[0] for rows in parts])
        for parts in ([torch.arange(5)], [torch.tensor([0]), torch.tensor([1, 2]), torch.tensor([3, 4])])
    ]
    close(losses[0], losses[1])


@pytest.mark.parametrize("name", MODELS)
def test_empty_batches_and_batches_without_history(name):
    model, columns = make(name).eval(), batch()
    assert model.query(take(columns, torch.tensor([], dtype=torch.int64))).shape[0] == 0
    nobody = take(columns, torch.tensor([3, 3]))
    expected = model.query(nobody)
    close(model.query(nobody | {"history": nobody["history"][:, :0]}), expected)
    close(model.query(columns)[3:4], expected[:1])
    assert len(model.training_queries(nobody)[0]) == len(model.training_queries(nobody)[1])


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_everything(name):
    model, columns = make(name), batch()
    scores, targets = logits(model, columns)
    torch.nn.functional.cross_entropy(scores, targets).backward()
    for which, parameter in model.named_parameters():
        assert parameter.grad is not None, which
        assert parameter.grad.isfinite().all(), which
        assert parameter.grad.abs().sum() > 0, which


@pytest.mark.parametrize("name", MODELS)
def test_sparse_gradients_are_the_dense_ones_and_padding_has_none(name):
    dense, sparse = make(name), make(name, sparse=True)
    assert dense.sparse_parameters() == []
    tables = sparse.sparse_parameters()
    assert tables
    columns = batch()
    for model in (dense, sparse):
        model.eval()  # the same ids for both
        torch.manual_seed(1)
        queries, targets = model.training_queries(columns)
        loss = (queries * model.item_vectors(targets)).sum()
        if model.item_biases is not None:
            loss = loss + model.item_biases(targets).square().sum()
        loss.backward()
    of_dense = dict(dense.named_parameters())
    known = set(columns["history"].flatten().tolist()) | set(columns["target"].tolist())
    known |= set(columns["targets"].flatten().tolist())
    for which, parameter in sparse.named_parameters():
        is_table = any(parameter is table for table in tables)
        assert parameter.grad is None or parameter.grad.is_sparse == is_table
        if parameter.grad is not None:
            close(parameter.grad.to_dense() if is_table else parameter.grad, of_dense[which].grad)
        if is_table and parameter.shape[0] >= C:
            assert set(parameter.grad.coalesce().indices()[0].tolist()) <= known | {C}


@pytest.mark.parametrize("name", MODELS)
def test_state_goes_through_a_file_without_pickle(name):
    model = make(name).eval()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    torch.manual_seed(99)
    other = MODELS[name]().double().eval()
    assert not torch.equal(other.query(batch()), model.query(batch()))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.query(batch()), model.query(batch()))
    assert torch.equal(other.item_vectors(), model.item_vectors())


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_the_same_model(name):
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = MODELS[name](**({} if name in WINDOWS else {"dropout": 0.5}))
        made.append(model.training_queries(batch())[0].detach())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("name", [name for name in MODELS if not {"features", "content"} & {*name.split(", ")}])
def test_it_learns_what_comes_next(name):
    """After an item comes one certain other; of 256 histories of three items, the last one decides."""
    model = MODELS[name](sparse=True)
    history = torch.randint(C, (256, 3))
    history[:, 2] = torch.arange(256) % C
    if name in ("youtube", "mind", "two towers", *WINDOWS):
        history[:, 1:] = -1  # they do not know in what order items came
        history[:, 0] = torch.arange(256) % C
    last = history[:, 2] if bool((history >= 0).all()) else history[:, 0]
    columns = {"history": history, "target": FOLLOWS[last]}
    if name in WINDOWS:
        columns["targets"] = columns["target"][:, None]
    tables = model.sparse_parameters()
    rest = [p for p in model.parameters() if not any(p is table for table in tables)]
    optimizers = [LazyAdam(tables, lr=0.03), *([torch.optim.Adam(rest, lr=0.01)] if rest else [])]
    for _ in range(60):
        for optimizer in optimizers:
            optimizer.zero_grad()
        queries, targets = model.training_queries(columns)
        full_softmax_loss(queries, _sparse_table(model), targets).backward()
        for optimizer in optimizers:
            optimizer.step()
    model.eval()
    query = model.query(columns)
    scores = query @ model.item_vectors().T
    scores = scores if scores.dim() == 2 else scores.amax(dim=1)
    assert float((scores.argmax(dim=1) == columns["target"]).float().mean()) > 0.9


def _sparse_table(model: RetrievalModel) -> Tensor:
    """All items, with a sparse gradient where they are a table."""
    return model.item_vectors(torch.arange(C))


@pytest.mark.parametrize(
    "name",
    [
        "youtube",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mind", "sdm, features", "two towers", "sasrec")),
    ],
)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # of torch, where a graph goes on
def test_compiled(name):
    """In the parts whose shapes do not depend on values: padding breaks the graph."""
    model, columns = make(name).eval(), batch()
    expected = model.training_queries(columns)[0]
    torch._dynamo.reset()
    compiled = torch.compile(model.training_queries, backend="eager", dynamic=True)
    close(compiled(columns)[0], expected)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", MODELS)
def test_bad_batches_are_refused(name):
    model, columns = make(name), batch()
    for method in (model.query, model.training_queries):
        with pytest.raises(KeyError, match="history: the model needs this column"):
            method({"target": columns["target"]})
        with pytest.raises(ValueError, match=r"^history: expected class ids in \[0, 23\)"):
            method(columns | {"history": torch.full((5, 2), 23)})
        with pytest.raises(TypeError, match=r"^history: expected dtype torch.int64"):
            method(columns | {"history": columns["history"].int()})
        with pytest.raises(ValueError, match=r"^history: expected shape \(B, L\)"):
            method(columns | {"history": torch.zeros(5, dtype=torch.int64)})
    for feature in ("user.gender", "user.tastes", "context.tokens"):
        where = getattr(model, f"{feature.split('.')[0]}_features", None)
        if where is not None and where.sizes:
            with pytest.raises(KeyError, match=f"{feature}: the model needs this column"):
                model.query({key: value for key, value in columns.items() if key != feature})
            with pytest.raises(ValueError, match=rf"^{feature}: expected class ids"):
                model.query(columns | {feature: torch.full((5,), 100)})
            with pytest.raises(ValueError, match=rf"^{feature}: expected shape \(B,\) or \(B, W\) with B = 5"):
                model.query(columns | {feature: torch.zeros(4, dtype=torch.int64)})


@pytest.mark.parametrize("kind", ["MINDEncoder", "SDMEncoder", "SASRecEncoder", "TwoTowerEncoder", "YoutubeDNNEncoder"])
@pytest.mark.parametrize("option", ["num_items", "dim"])
def test_sizes_are_checked(kind, option):
    with pytest.raises(ValueError, match=f"^{option}: expected an integer >= 1, got 0"):
        getattr(recommenders, kind)(**{"num_items": 4, "dim": 4, option: 0})


@pytest.mark.parametrize("name", [name for name in MODELS if name.split(",")[0] in ("mind", "sdm", "sasrec")])
def test_where_order_counts_padding_stands_at_the_end(name):
    columns = batch()
    columns["history"][1] = torch.tensor([3, -1, 4, -1, -1, -1, -1])
    with pytest.raises(
        ValueError, match=r"^history: expected padding \(-1\) at the end of a row, got -1 at position \(1, "
    ):
        make(name).query(columns)


@pytest.mark.parametrize("name", [name for name in MODELS if name.split(",")[0] in ("mind", "sasrec")])
def test_a_history_that_is_too_long(name):
    with pytest.raises(ValueError, match=r"^history: expected at most max_length = [79] items, got 12"):
        make(name).query(batch() | {"history": torch.zeros(5, 12, dtype=torch.int64)})


@pytest.mark.parametrize("name", MODELS)
def test_targets_that_are_not_items_are_named(name):
    model, columns = make(name), batch()
    one_a_row = len(model.training_queries(columns)[1]) == len(columns["target"])
    column = "target" if one_a_row else "targets"
    columns[column] = columns[column].clone()
    columns[column].view(-1)[0] = C
    with pytest.raises(ValueError, match=rf"{column}: expected class ids in \[0, {C}\)"):
        model.training_queries(columns)
    if column == "target":
        columns[column][0] = -1  # a loss leaves it out
        assert model.training_queries(columns)[0].isfinite().all()
        return
    with pytest.raises(ValueError, match="targets: expected"):
        model.training_queries(columns | {"targets": columns["targets"].clamp(max=C - 1)[:-1]})
    if name in WINDOWS:
        with pytest.raises(KeyError, match="targets: the model needs this column"):
            model.training_queries({key: value for key, value in columns.items() if key != "targets"})
