"""The estimators by name, without importing them; and `load`, which opens whatever a folder holds."""

import os
import pkgutil
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["ESTIMATORS", "FORMATS", "EstimatorEntry", "Family", "class_of", "load"]

Family: TypeAlias = Literal["recommender", "language model", "word vectors"]

FORMATS: dict[Family, str] = {
    "recommender": "logq.recommender",
    "language model": "logq.language_model",
    "word vectors": "logq.word_vectors",
}
"""What the files of a family say that they are."""


class EstimatorEntry(NamedTuple):
    """A line of the table of estimators.

    Args:
        command: its name on the command line.
        module: where its class is.
        class_name: the name of its class, which its files have.
        family: what it is.
        summary: a sentence for --help.
        tunable: whether it has settings that `logq tune` can search.

    Example:
        >>> next(entry.class_name for entry in ESTIMATORS if entry.command == "two-tower")
        'TwoTower'
    """

    command: str
    module: str
    class_name: str
    family: Family
    summary: str
    tunable: bool = True

    def load_class(self) -> Any:
        """Import the class."""
        return pkgutil.resolve_name(f"{self.module}:{self.class_name}")


ESTIMATORS = (
    EstimatorEntry(
        "word2vec", "logq.word2vec.word2vec", "Word2Vec", "word vectors", "Word vectors by skip-gram or CBOW."
    ),
    EstimatorEntry(
        "ngram",
        "logq.language_models.ngram.ngram",
        "NGram",
        "language model",
        "Counts of word sequences, smoothed; trained in seconds.",
    ),
    EstimatorEntry(
        "nnlm",
        "logq.language_models.nnlm",
        "NNLM",
        "language model",
        "The previous few words, through a hidden layer.",
    ),
    EstimatorEntry(
        "recurrent",
        "logq.language_models.recurrent",
        "RecurrentLM",
        "language model",
        "The whole line before the next word, by a GRU or an LSTM.",
    ),
    EstimatorEntry(
        "item2vec",
        "logq.recommenders.item2vec",
        "Item2Vec",
        "recommender",
        "Item vectors from the items nearby in a session, by word2vec.",
    ),
    EstimatorEntry(
        "airbnb",
        "logq.recommenders.airbnb",
        "AirbnbEmbeddings",
        "recommender",
        "Listing vectors from click sessions, bookings and markets.",
    ),
    EstimatorEntry(
        "eges",
        "logq.recommenders.eges",
        "EGES",
        "recommender",
        "Item vectors from random walks on the graph of successive items, with side information.",
    ),
    EstimatorEntry(
        "youtube-dnn",
        "logq.recommenders.youtube_dnn",
        "YoutubeDNN",
        "recommender",
        "The mean of a history, with features, through ReLU layers.",
    ),
    EstimatorEntry(
        "mind",
        "logq.recommenders.mind",
        "MIND",
        "recommender",
        "Several interest vectors per user, by dynamic routing.",
    ),
    EstimatorEntry(
        "sdm",
        "logq.recommenders.sdm",
        "SDM",
        "recommender",
        "The current session and the long-term history, combined by a gate.",
    ),
    EstimatorEntry(
        "two-tower",
        "logq.recommenders.two_tower",
        "TwoTower",
        "recommender",
        "One tower for users, one for items and their features.",
    ),
    EstimatorEntry(
        "sasrec", "logq.recommenders.sasrec", "SASRec", "recommender", "Causal self-attention over a history."
    ),
    EstimatorEntry(
        "ease",
        "logq.recommenders.ease",
        "EASE",
        "recommender",
        "A linear model of which items go together, in closed form; a strong baseline.",
    ),
    EstimatorEntry(
        "als",
        "logq.recommenders.als",
        "ALS",
        "recommender",
        "Vectors of users and items by alternating least squares; matrix factorization.",
    ),
    EstimatorEntry(
        "session-knn",
        "logq.recommenders.session_knn",
        "SessionKNN",
        "recommender",
        "What occurred in the most similar sessions; a baseline without training.",
    ),
    EstimatorEntry(
        "item-knn",
        "logq.recommenders.item_knn",
        "ItemKNN",
        "recommender",
        "Items of the same users are similar, by cosine; a baseline without training.",
    ),
    EstimatorEntry(
        "popularity",
        "logq.recommenders.popularity",
        "Popularity",
        "recommender",
        "The most frequent items for everyone; a baseline without training.",
        tunable=False,
    ),
)
"""All estimators. A new one is a file, and a line here."""


def class_of(class_name: str, family: Family | None = None) -> Any:
    """Import the estimator class of a name; None where the table has none, or none of that family.

    Example:
        >>> class_of("Popularity").__name__, class_of("Popularity", "language model")
        ('Popularity', None)
    """
    for entry in ESTIMATORS:
        if entry.class_name == class_name and family in (None, entry.family):
            return entry.load_class()
    return None


def load(folder: str | os.PathLike[str], *, check: bool = True, **options: Any) -> Any:
    """Open what a folder holds: a recommender, a language model, a Word2Vec, word vectors, or an index of items.

    Where a Word2Vec was saved beside its vectors, as `logq train word2vec` does, it is the model that is opened.

    Args:
        folder: where `save` wrote it; or hf://user/name, where `push_to_hub` did, with @revision behind it or without.
        check: compare the digests in the file, at about the speed of a copy.
        **options: for estimators, beside the settings in the file, such as `device`.

    Returns:
        An object of the class that was saved.

    Raises:
        FileNotFoundError: there is no such folder, or nothing of logq in it.
        OSError: a file cannot be read.
        ValueError: it is damaged, changed, or of another version; the message says what is wrong.

    Example:
        >>> import tempfile
        >>> from logq import Interactions, Popularity
        >>> log = Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Popularity().fit(log).save(folder)
        ...     load(folder)
        Popularity(fitted on 2 items)
    """
    from logq._model_file import FILE, read_kind  # NumPy, which `logq --help` does without
    from logq.hub.hub_folders import fetch_folder, is_hub_place

    home = fetch_folder(folder) if is_hub_place(folder) else Path(folder)
    if (home / FILE).exists():
        name = read_kind(home / FILE, format=tuple(FORMATS.values()))
        found = class_of(name)
        if found is None:
            raise ValueError(
                f"{home / FILE}: holds a {name}, which logq does not have; call {name}.load on the class itself"
            )
        return found.load(home, check=check, **options)
    files = {
        "vectors.safetensors": "logq.vectors:KeyedVectors.load",
        "index.safetensors": "logq.retrieval.index_kinds:load_index",
    }
    for file, location in files.items():
        if (home / file).exists():
            return pkgutil.resolve_name(location)(home, check=check, **options)
    if not home.exists():
        raise FileNotFoundError(f"{home}: there is no such folder")
    hint = "; a checkpoint is there, from which `fit(..., resume=True)` continues"
    unfinished = hint if (home / "checkpoint.safetensors").exists() else ""
    raise FileNotFoundError(
        f"{home}: expected a folder with {FILE}, {' or '.join(files)}, got none of them{unfinished}"
    )
