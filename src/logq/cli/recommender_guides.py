"""What the help of `logq train sasrec` and the others says of each recommender besides its options."""

from typing import NamedTuple

__all__ = ["GUIDES", "Guide"]


class Guide(NamedTuple):
    """What the help of a command says besides the options.

    Args:
        about: when to take this model.
        examples: what follows `logq train NAME`, one per line.
        learns_from: whose features it learns from; those of others are only kept.

    Example:
        >>> GUIDES["sasrec"].learns_from
        ()
    """

    about: str
    examples: tuple[str, ...] = (
        "ratings.csv -o model",
        "ratings.csv -o model --resume",
        "--continue new.csv -o model",
    )
    learns_from: tuple[str, ...] = ("user", "item")


GUIDES = {
    "item2vec": Guide(
        "The fastest to train: it runs in the compiled word2vec engine on all cores. Items that are near each other in "
        "histories or sessions get similar vectors (Barkan and Koenigstein 2016).",
        (
            "ratings.csv -o items",
            "log.txt --format sessions -o items --validation none",
            "baskets.csv -o items --unordered --window 200",
            "baskets.csv -o items --recipe item2vec-sets",
        ),
        (),
    ),
    "airbnb": Guide(
        "For click sessions that end in a booking. A listing is predicted from the clicks around it, and the booked "
        "one from all clicks before it; some negatives come from the same market (Grbovic and Cheng 2018).",
        (
            "clicks.csv -o listings --booking booked --market city",
            'clicks.csv -o listings --booking "action=clickout item"',
        ),
        (),
    ),
    "eges": Guide(
        "For items with features: the vector of an item mixes those of its id and its features, so that new items "
        "have vectors too (Wang et al. 2018).",
        ("clicks.csv -o items --item-features items.csv", "log.txt --format sessions -o items --validation none"),
        ("item",),
    ),
    "youtube-dnn": Guide(
        "A simple, strong baseline: quick to train, and it uses features of users. A softmax over a sample of items "
        "learns which item comes next after each event of a user (Covington et al. 2016).",
        (
            "ratings.csv --user uid --item iid -o model",
            "log.csv -o model --user-features users.csv",
            "log.parquet -o model --objective nce",
            "ratings.csv -o model --resume",
        ),
        ("user",),
    ),
    "mind": Guide(
        "For users with several interests: each user has several vectors, and the one nearest to an item gives its "
        "score (Li et al. 2019).",
        ("ratings.csv -o model", "ratings.csv -o model --interests 2 --max-length 100"),
        ("user",),
    ),
    "sdm": Guide(
        "For shops, where what a user wants now may differ from what the user usually likes. Uses features of users "
        "and items (Lv et al. 2019).",
        ("ratings.csv -o model", "log.csv -o model --short-length 5 --item-features items.csv"),
    ),
    "two-tower": Guide(
        "For items that come and go: the vector of an item also depends on its features, so that new items have one. "
        "Trained by a softmax over the other items of a batch, corrected by log Q (Yi et al. 2019).",
        (
            "ratings.csv -o model --item-features items.csv",
            "log.csv -o model --batch-size 2048 --temperature 0.1",
        ),
    ),
    "sasrec": Guide(
        "The most accurate on most logs where order matters, and slower to train than the others (Kang and McAuley "
        "2018).",
        (
            "ratings.csv -o model",
            "ratings.csv -o model --validation none --epochs 12",
            "--continue new.csv -o model",
            "ratings.csv -o model --device cuda --precision auto",
            "ratings.csv -o model --objective gbce --num-sampled 256",
        ),
        (),
    ),
    "ease": Guide(
        "A baseline that many neural models do not beat, solved in one step: a regression of each item on all "
        "others. Needs memory for C x C numbers, which suits up to some 20,000 items; ignores the order of "
        "events (Steck 2019).",
        ("ratings.csv -o model", "ratings.csv -o model --regularization 500", "ratings.csv -o model --min-item 10"),
        (),
    ),
    "als": Guide(
        "Matrix factorization for logs of any size: the vectors of users and of items are solved for in turn, each by "
        "a regression in closed form. Ignores the order of events (Hu, Koren and Volinsky 2008).",
        ("ratings.csv -o model", "ratings.csv -o model --dim 128 --alpha 10 --regularization 5"),
        (),
    ),
    "session-knn": Guide(
        "A baseline for sessions that neural models often do not beat, without training: what occurred in the most "
        "similar sessions (V-SKNN, Ludewig and Jannach 2018; STAN, Garg et al. 2019). Sessions are those of the log's "
        "column; without one, each user is a session.",
        (
            "clicks.csv -o model --session session_id",
            "log.txt --format sessions -o model --kind vsknn",
            "ratings.csv -o model --gap 3600",
        ),
        (),
    ),
    "item-knn": Guide(
        "A baseline without training: items that the same users chose are similar (Sarwar et al. 2001).",
        ("ratings.csv -o model", "ratings.csv -o model --neighbors 50 --max-length 20"),
        (),
    ),
    "popularity": Guide(
        "The baseline that every model has to beat: what most users chose, for everyone.",
        ("ratings.csv -o model", "ratings.csv -o model --validation none"),
        (),
    ),
}
"""By the name of the command."""
