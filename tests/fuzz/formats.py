"""The formats that logq reads: small files of each, and what is done with a file once it is read."""

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import language_cases
import logq
import recommender_cases
from logq import recommenders
from logq.cli.classifier_reading import read_arrays
from logq.cli.feature_files import read_features, read_titles
from logq.cli.recipes import read_recipe
from logq.evaluation import read_analogies, read_pairs
from logq.folders.recommender_folders import open_folder
from logq.folders.recommender_folders import save_log as save_beside
from logq.language_models import NGram, RecurrentLM
from logq.language_models.language_model import LanguageModel
from logq.logs import Features, Interactions, Split, leave_one_out
from logq.recommenders import Recommender
from logq.retrieval import load_index, make_index
from logq.samplers import Unigram
from logq.text import Corpus, Phrases, Vocabulary, encode
from logq.vectors import KeyedVectors
from logq.word2vec import Word2Vec

__all__ = ["FORMATS", "Format"]


class Format(NamedTuple):
    """A format of files.

    Args:
        make: writes the files into an empty folder.
        use: reads them and answers, so that what was read is touched.
        damaged: patterns of the files that are damaged.
        weight: how many inputs it gets, relative to others.
    """

    make: Callable[[Path], None]
    use: Callable[[Path], object]
    damaged: tuple[str, ...]
    weight: float = 1.0


WORDS = ["tea", "cup", "naïve", "pot", "sugar", "milk"]
VECTORS = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
LINES = [" ".join(line) for line in language_cases.language(60, 1)]


def _vectors(folder: Path) -> KeyedVectors:
    return KeyedVectors(WORDS, VECTORS[: len(WORDS)], counts=np.arange(len(WORDS), 0, -1))


def _use_vectors(place: Path) -> object:
    return _ask(KeyedVectors.load(place))


def _ask(found: KeyedVectors) -> object:
    if len(found):
        found.most_similar(found.index_to_key[0], topn=3)
    return None


def _make_index(kind: str, **options: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        made = make_index(kind, VECTORS, **options)
        made.remove([3, 5])
        made.save(folder)

    return make


def _use_index(folder: Path) -> object:
    found = load_index(folder)
    if found.dim == VECTORS.shape[1]:
        found.search(VECTORS[:3], k=4, exclude=([0, 1], [0, 1, 2, 2]))
    found.add([1 << 40], np.ones((1, found.dim), dtype=np.float32))
    if len(found):
        found.remove(found.ids[:1])
    return None


def _recommender(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        cases = {**recommender_cases.NEURAL, **recommender_cases.SKIP_GRAM, **recommender_cases.BASELINES}
        arguments = cases[name]
        if "epochs" in arguments or name in recommender_cases.NEURAL:
            arguments = {**arguments, "epochs": 1}
        getattr(recommenders, name)(**arguments).fit(recommender_cases.planted_log(), progress=False).save(folder)

    return make


def _use_recommender(folder: Path) -> object:
    found = Recommender.load(folder)
    found.recommend(found.user_ids[:2], k=2)
    return found.recommend(histories=[found.item_ids[:2].tolist()], k=2)


def _make_ngram(folder: Path) -> None:
    NGram(order=3, smoothing="add_k", k=0.1).fit(language_cases.language(60, 1), progress=False).save(folder)


def _make_arpa(folder: Path) -> None:
    made = NGram(order=2, smoothing="add_k", k=0.1).fit(language_cases.language(20, 1), progress=False)
    made.to_arpa(folder / "model.arpa", progress=False)


def _make_gru(folder: Path) -> None:
    language_cases.make("gru", epochs=1).fit(language_cases.language(20, 1), progress=False).save(folder)


def _make_language_model(kind: str, **options: Any) -> Callable[[Path], None]:
    return lambda folder: (
        language_cases.make(kind, epochs=1, **options).fit(language_cases.language(20, 1), progress=False).save(folder)
    )


def _use_language_model(found: LanguageModel) -> object:
    found.next_words("w1", k=3)
    return found.generate(max_words=3, seed=1)


class _StoppedError(Exception):
    pass


def _stopped(model: Any, source: Any, folder: Path, **options: Any) -> None:
    """Leave a checkpoint after the first epoch."""
    from logq.training.checkpoint import RunCheckpoint

    before = RunCheckpoint.save

    def save(self: RunCheckpoint, state: Any) -> None:
        before(self, state)
        if self.path is not None:
            raise _StoppedError

    RunCheckpoint.save = save
    try:
        model.fit(source, checkpoint=folder, checkpoint_minutes=0, progress=False, **options)
    except _StoppedError:
        pass
    finally:
        RunCheckpoint.save = before


def _youtube() -> Any:
    from logq.recommenders import YoutubeDNN

    return YoutubeDNN(hidden=(8,), max_length=2, epochs=2, dim=8, batch_size=512, num_sampled=8, seed=1)


def _gru() -> RecurrentLM:
    return RecurrentLM(cell="gru", dim=8, hidden=8, batch_size=8, bptt=5, epochs=2, num_sampled=8, seed=1)


def _word2vec() -> Word2Vec:
    return Word2Vec(dim=8, epochs=2, min_count=1, seed=1, threads=1)


def _use_word2vec(folder: Path) -> object:
    model = logq.load(folder)
    model.fit(language_cases.language(20, 1), warm=True, progress=False)
    return _ask(model.vectors)


def _resume(model: Any, source: Any, folder: Path) -> object:
    model.fit(source, checkpoint=folder, resume=True, progress=False, checkpoint_minutes=60)
    return None


def _make_log(folder: Path) -> None:
    log = recommender_cases.planted_log()
    log.save(folder)
    leave_one_out(log).save(folder)


def _use_log(folder: Path) -> object:
    log = Interactions.load(folder)
    Split.load(folder, log)
    return log.histories(np.arange(min(2, log.num_users)))


def _make_cache(folder: Path) -> None:
    (folder / "text.txt").write_text("\n".join(LINES))
    encode(folder / "text.txt", min_count=1, cache=folder / "cache", threads=1, progress=False).close()


def _use_cache(folder: Path) -> object:
    with encode(folder / "text.txt", min_count=1, cache=folder / "cache", threads=1, progress=False) as corpus:
        ids = corpus.read(0, corpus.num_ids)
        assert -1 <= ids.min() <= ids.max() < len(corpus.vocabulary)
        return [corpus.vocabulary.index_to_key[word] for word in ids.tolist() if word >= 0]


def _write(name: str, text: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(text) and None


def _packed(name: str, text: bytes) -> Callable[[Path], None]:
    """A file compressed as the ending of its name says."""

    def make(folder: Path) -> None:
        ending = name.rpartition(".")[2]
        if ending == "zip":
            with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("inside.txt", text)
            return
        (folder / name).write_bytes(_PACK[ending](text))

    return make


def _zstd(text: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(text)


_PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": _zstd,
}


def _make_parquet(folder: Path) -> None:
    import polars

    polars.read_csv(io.StringIO(CSV), try_parse_dates=True).write_parquet(folder / "log.parquet")


def _make_arrays(folder: Path) -> None:
    rows = {"inputs": VECTORS[:5], "weight": VECTORS, "bias": VECTORS[:, 0], "targets": np.arange(5)}
    np.savez(folder / "arrays.npz", allow_pickle=False, **rows)


def _make_folder(folder: Path) -> None:
    """A folder as `logq train` leaves it."""
    split = leave_one_out(recommender_cases.planted_log())
    recommenders.Popularity().fit(split.train, progress=False).save(folder)
    titles = [f"title {number}" for number in range(split.log.num_items)]
    save_beside(folder, split.log, split, titles, {"columns": {"user": "user"}, "options": ["--seed", "1"]})


def _use_folder(folder: Path) -> object:
    found = open_folder(folder)
    return found.model.recommend(found.model.user_ids[:2], k=2)


def _features(read: Callable[..., Any], name: str) -> Callable[[Path], object]:
    return lambda folder: read(folder / name, recommender_cases.planted_log().item_ids)


def _make_phrases(folder: Path) -> None:
    Phrases(1, 1).fit([["new", "york"], ["a", "b"]] * 9).save(folder / "phrases.json")


CSV = "user,item,rating,timestamp\n" + "".join(f"u{n % 7},{n % 5},{n % 3},{n + 1700000000}\n" for n in range(30))
FEATURES = "item,title,genre,price,new,seen,vector\n" + "".join(
    f"{100 + n},Name {n},a|g{n % 4},{n / 3:.3f},{'true' if n % 2 else 'false'},2024-01-{n + 1:02d},{n} {n / 7:.2f}\n"
    for n in range(20)
)
GLOVE = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VECTORS.tolist(), strict=False))
UTF16 = "\n".join(LINES).encode("utf-16")
PAIRS = b"tea\tcup\t3.5\ncup\tpot\t1\n"
QUESTIONS = b": drinks\ntea cup milk pot\nsugar tea cup pot\n"

FORMATS: dict[str, Format] = {
    "vectors": Format(lambda folder: _vectors(folder).save(folder), _use_vectors, ("vectors.safetensors",), 2),
    "word2vec text": Format(
        lambda folder: _vectors(folder).save_word2vec_format(folder / "v.txt"),
        lambda f: _use_vectors(f / "v.txt"),
        ("*",),
    ),
    "word2vec binary": Format(
        lambda folder: _vectors(folder).save_word2vec_format(folder / "v.bin", binary=True),
        lambda f: _use_vectors(f / "v.bin"),
        ("*",),
    ),
    "word2vec gzip": Format(
        lambda folder: _vectors(folder).save_word2vec_format(folder / "v.gz"),
        lambda f: _use_vectors(f / "v.gz"),
        ("*",),
    ),
    **{
        f"index {kind}": Format(_make_index(kind, **options), _use_index, ("index.safetensors",), 2)
        for kind, options in {
            "exact": {},
            "faiss-flat": {},
            "faiss-ivf": {"nlist": 3},
            "faiss-hnsw": {"links": 4},
            "faiss-pq": {"nlist": 2},
            "usearch": {"links": 4},
            **({"hnswlib": {"links": 4}} if importlib.util.find_spec("hnswlib") else {}),
        }.items()
    },
    **{
        f"recommender {name}": Format(_recommender(name), _use_recommender, ("model.safetensors",), 0.7)
        for name in recommender_cases.ALL
    },
    "ngram": Format(_make_ngram, lambda f: _use_language_model(LanguageModel.load(f)), ("model.safetensors",)),
    "gru": Format(_make_gru, lambda f: _use_language_model(LanguageModel.load(f)), ("model.safetensors",)),
    "arpa": Format(
        _make_arpa, lambda f: _use_language_model(NGram.from_arpa(f / "model.arpa", progress=False)), ("model.arpa",)
    ),
    "checkpoint of a recommender": Format(
        lambda f: _stopped(_youtube(), recommender_cases.planted_log(), f),
        lambda f: _resume(_youtube(), recommender_cases.planted_log(), f),
        ("checkpoint.safetensors",),
        0.25,
    ),
    "checkpoint of a language model": Format(
        lambda f: _stopped(_gru(), language_cases.language(20, 1), f),
        lambda f: _resume(_gru(), language_cases.language(20, 1), f),
        ("checkpoint.safetensors",),
        0.25,
    ),
    "checkpoint of word2vec": Format(
        lambda f: _stopped(_word2vec(), language_cases.language(20, 1), f),
        lambda f: _resume(_word2vec(), language_cases.language(20, 1), f),
        ("checkpoint.safetensors",),
        0.4,
    ),
    "log": Format(_make_log, _use_log, ("*.npy", "*.json"), 2),
    "encoding cache": Format(_make_cache, _use_cache, ("cache/*",), 1),
    "phrases": Format(_make_phrases, lambda f: Phrases.load(f / "phrases.json").join(["new", "york"]), ("*",)),
    "vocabulary": Format(
        lambda f: Vocabulary(WORDS, range(len(WORDS), 0, -1)).save(f / "v.txt"),
        lambda f: Vocabulary.load(f / "v.txt").keep_probability(1e-3),
        ("*",),
    ),
    "csv": Format(_write("log.csv", CSV.encode()), lambda f: Interactions.from_csv(f / "log.csv"), ("*",)),
    "csv gzip": Format(
        _write("log.csv.gz", gzip.compress(CSV.encode())),
        lambda f: Interactions.from_csv(f / "log.csv.gz"),
        ("*",),
        0.5,
    ),
    "sessions": Format(
        _write("log.txt", b"1 2 3\n2 3 4\n1 2\n"), lambda f: Interactions.from_sessions(f / "log.txt"), ("*",)
    ),
    "word pairs": Format(_write("pairs.tsv", PAIRS), lambda f: read_pairs(f / "pairs.tsv"), ("*",)),
    "analogies": Format(_write("questions.txt", QUESTIONS), lambda f: read_analogies(f / "questions.txt"), ("*",)),
    "text gzip": Format(
        _write("text.gz", gzip.compress("\n".join(LINES).encode())),
        lambda f: encode(f / "text.gz", min_count=1, threads=1, progress=False).close(),
        ("*",),
        0.5,
    ),
    "glove": Format(_write("v.txt", GLOVE.encode()), lambda f: _use_vectors(f / "v.txt"), ("*",), 0.5),
    "model of word2vec": Format(
        lambda f: _word2vec().fit(language_cases.language(20, 1), progress=False).save(f),
        _use_word2vec,
        ("model.safetensors",),
        0.7,
    ),
    "vectors of bytes": Format(
        lambda folder: _vectors(folder).save(folder, dtype="int8"),
        lambda folder: _ask(logq.load(folder)),
        ("vectors.safetensors",),
        0.5,
    ),
    "mapped vectors": Format(
        lambda folder: _vectors(folder).save(folder),
        lambda folder: _ask(KeyedVectors.load(folder, mmap=True)),
        ("vectors.safetensors",),
        0.5,
    ),
    "vectors of half precision": Format(
        lambda folder: KeyedVectors(WORDS, VECTORS[: len(WORDS)], dtype="float16").save(folder),
        lambda folder: _ask(logq.load(folder)),
        ("vectors.safetensors",),
        0.5,
    ),
    **{
        f"{what} .{ending}": Format(_packed(f"file.{ending}", text), read, ("*",), 0.2)
        for ending in ("bz2", "xz", "zst", "zip")
        for what, text, read in (
            ("vectors", GLOVE.encode(), lambda f, ending=ending: _use_vectors(f / f"file.{ending}")),
            ("log", CSV.encode(), lambda f, ending=ending: Interactions.from_csv(f / f"file.{ending}")),
            (
                "text",
                "\n".join(LINES).encode(),
                lambda f, ending=ending: list(Corpus(f / f"file.{ending}")),
            ),
        )
    },
    "text in utf-16": Format(
        _write("text.txt", UTF16),
        lambda f: encode(f / "text.txt", min_count=1, threads=1, progress=False).close(),
        ("*",),
        0.5,
    ),
    "sessions of text": Format(
        _write("log.txt", b"ann tea cup\nbob cup pot\n"),
        lambda f: Interactions.from_sessions(f / "log.txt", leading_user=True),
        ("*",),
        0.5,
    ),
    "parquet": Format(_make_parquet, lambda f: Interactions.from_parquet(f / "log.parquet"), ("*",), 1),
    "features": Format(_write("f.csv", FEATURES.encode()), _features(read_features, "f.csv"), ("*",), 0.5),
    "titles of features": Format(_write("f.csv", FEATURES.encode()), _features(read_titles, "f.csv"), ("*",), 0.3),
    "features in json": Format(
        _write("f.json", json.dumps({100 + n: [f"g{n % 4}"] for n in range(20)}).encode()),
        _features(Features.from_json, "f.json"),
        ("*",),
        0.5,
    ),
    "folder of a recommender": Format(_make_folder, _use_folder, ("*.safetensors", "*.json", "log/*"), 1),
    "arrays": Format(_make_arrays, lambda f: read_arrays(f / "arrays.npz", rows=3, device="cpu"), ("*",), 0.5),
    "recipe": Format(
        _write("r.toml", b'estimator = "Item2Vec"\nabout = "it"\n[settings]\ndim = 8\nwindow = [1, 2]\n'),
        lambda f: read_recipe(str(f / "r.toml"), "Item2Vec"),
        ("*",),
        0.3,
    ),
    "counts": Format(_write("c.csv", b"tea,3\ncup,2\n"), lambda f: Unigram.from_file(f / "c.csv", 2), ("*",), 0.3),
    **{
        f"language model {kind}": Format(
            _make_language_model(kind, **options),
            lambda f: _use_language_model(LanguageModel.load(f)),
            ("model.safetensors",),
            0.3,
        )
        for kind, options in {
            "nnlm": {},
            "lstm": {"objective": "hierarchical_softmax"},
            "gru": {"objective": "adaptive_softmax"},
        }.items()
    },
}
