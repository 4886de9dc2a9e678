"""One instance or more of each encoder for recommendations, and batches with everything in them that they must bear."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from logq.recommenders.airbnb import AirbnbEncoder
from logq.recommenders.eges import EGESEncoder
from logq.recommenders.encoding.encoders import RetrievalModel
from logq.recommenders.encoding.item_content import ItemContent
from logq.recommenders.mind import MINDEncoder
from logq.recommenders.sasrec import SASRecEncoder
from logq.recommenders.sdm import SDMEncoder
from logq.recommenders.two_tower import TwoTowerEncoder
from logq.recommenders.youtube_dnn import YoutubeDNNEncoder

C, D, U = 23, 8, 6
"""Items, width of vectors, users."""

USER_FEATURES = {"gender": 3, "tastes": 7}
CONTEXT_FEATURES = {"tokens": 9}
ITEM_FEATURES = {"brand": 5, "genres": 6}


def item_codes() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    genres = torch.randint(6, (C, 3), generator=generator)
    genres[::3, 1:] = -1
    genres[4] = -1
    return {"brand": torch.randint(5, (C,), generator=generator), "genres": genres}


def item_dense() -> dict[str, Tensor]:
    """Vectors of items, of which one has none."""
    vectors = torch.randn(C, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    vectors[5] = 0.0
    return {"image": vectors}


def content(kind: str) -> ItemContent:
    return ItemContent(kind, ITEM_FEATURES, item_codes(), item_dense(), id_dropout=0.3)


MODELS: dict[str, Callable[..., RetrievalModel]] = {
    "youtube": lambda **o: YoutubeDNNEncoder(C, D, **{"hidden": [12], **o}),
    "youtube, features": lambda **o: YoutubeDNNEncoder(
        C,
        D,
        hidden=[12, 10],
        user_features=USER_FEATURES,
        context_features=CONTEXT_FEATURES,
        feature_dim=4,
        longest_age=10.0,
        tied=True,
        item_bias=True,
        **o,
    ),
    "mind": lambda **o: MINDEncoder(C, D, interests=3, hidden=[10], max_length=9, **o),
    "mind, features": lambda **o: MINDEncoder(
        C,
        D,
        interests=4,
        adaptive=False,
        max_length=7,
        user_features=USER_FEATURES,
        learned_routing=True,
        tied=False,
        power=3.0,
        **o,
    ),
    "sdm": lambda **o: SDMEncoder(C, D, short_length=3, heads=2, **o),
    "sdm, features": lambda **o: SDMEncoder(
        C,
        D,
        short_length=2,
        num_users=U,
        user_features=USER_FEATURES,
        item_features=ITEM_FEATURES,
        item_codes=item_codes(),
        heads=4,
        tied=False,
        **o,
    ),
    "two towers": lambda **o: TwoTowerEncoder(C, D, hidden=[12], item_hidden=[], **o),
    "two towers, features": lambda **o: TwoTowerEncoder(
        C,
        D,
        hidden=[12],
        item_hidden=[11],
        num_users=U,
        user_features=USER_FEATURES,
        context_features=CONTEXT_FEATURES,
        item_features=ITEM_FEATURES,
        item_codes=item_codes(),
        id_dim=6,
        feature_dim=4,
        **o,
    ),
    "sasrec": lambda **o: SASRecEncoder(C, D, max_length=9, **{"dropout": 0.0, **o}),
    "sasrec, untied": lambda **o: SASRecEncoder(
        C, D, max_length=7, blocks=1, heads=2, hidden=20, tied=False, **{"dropout": 0.0, **o}
    ),
    "sasrec, post": lambda **o: SASRecEncoder(
        C, D, max_length=9, heads=2, norm="post", positions="relative", **{"dropout": 0.0, **o}
    ),
    "sasrec, ligr": lambda **o: SASRecEncoder(
        C, D, max_length=9, layer="ligr", heads=2, hidden=12, positions="relative", **{"dropout": 0.0, **o}
    ),
    "sasrec, bsarec": lambda **o: SASRecEncoder(C, D, max_length=9, layer="bsarec", **{"dropout": 0.0, **o}),
    "sasrec, hstu": lambda **o: SASRecEncoder(
        C, D, max_length=9, layer="hstu", heads=2, time_buckets=0, **{"dropout": 0.0, **o}
    ),
    "sasrec, fuxi_linear": lambda **o: SASRecEncoder(
        C, D, max_length=9, layer="fuxi_linear", heads=2, time_buckets=0, **{"dropout": 0.0, **o}
    ),
    "sasrec, gru4rec": lambda **o: SASRecEncoder(
        C, D, max_length=9, layer="gru4rec", hidden=12, blocks=1, **{"dropout": 0.0, **o}
    ),
    "two towers, content": lambda **o: TwoTowerEncoder(
        C,
        D,
        hidden=[],
        item_hidden=[],
        item_features=ITEM_FEATURES,
        item_codes=item_codes(),
        item_dense=item_dense(),
        content=content("network"),
        id_dim=6,
        **o,
    ),
    "sasrec, content": lambda **o: SASRecEncoder(
        C, D, max_length=9, blocks=1, content=content("sum"), **{"dropout": 0.0, **o}
    ),
    "eges": lambda **o: EGESEncoder(C, D, decay=0.7, item_features=ITEM_FEATURES, item_codes=item_codes(), **o),
    "airbnb": lambda **o: AirbnbEncoder(C, D, decay=0.7, **o),
}
"""name -> options -> model, small."""


def make(name: str, **options: object) -> RetrievalModel:
    """The model of a name in float64, with weights that are far enough from 0 to tell mistakes apart."""
    torch.manual_seed(1)
    model = MODELS[name](**options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return model


def batch(seed: int = 0) -> dict[str, Tensor]:
    """Five rows: histories of 7, 3, 1, no and 4 items, of which one repeats; features of one and of several values."""
    generator = torch.Generator().manual_seed(seed)

    def codes(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator)

    history = codes(C, 5, 7)
    for row, length in enumerate((7, 3, 1, 0, 4)):
        history[row, length:] = -1
    history[4, 1] = history[4, 0]
    tastes, tokens = codes(7, 5, 3), codes(9, 5, 2)
    tastes[1, 1:] = -1
    tastes[2] = -1
    tokens[0, 1] = -1
    targets = torch.where(history >= 0, codes(C, 5, 7), -1)
    targets[0, 2] = -1  # nothing to learn here
    return {
        "history": history,
        "target": codes(C, 5),
        "targets": targets,
        "user": torch.tensor([3, 0, -1, 5, 3]),
        "user.gender": torch.tensor([1, 2, 0, -1, 1]),
        "user.tastes": tastes,
        "context.tokens": tokens,
        "age": torch.tensor([0.0, 5.0, 10.0, 1.0, 2.5]),
    }


def take(columns: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Some rows of a batch."""
    return {name: column[rows] for name, column in columns.items()}


def wider(columns: dict[str, Tensor], by: int = 2) -> dict[str, Tensor]:
    """The same batch with more padding."""
    return {
        name: nn.functional.pad(column, (0, by), value=-1) if column.dim() == 2 else column
        for name, column in columns.items()
    }
