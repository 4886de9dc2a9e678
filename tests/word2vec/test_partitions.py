"""Vectors in partitions: the pairs of the whole tables, bucket by bucket, with two parts in memory."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frequencies import SEED
from logq import KeyedVectors, Word2Vec
from logq.text import Vocabulary
from logq.training import checkpoint
from logq.word2vec import corpus_run, partitioned_engine, partitioned_table
from logq.word2vec.engines import first_rows, first_vectors
from logq.word2vec.fused_engine import FusedEngine
from logq.word2vec.kernel import Setup, alias_cells, cells_of_partitions, keep_thresholds, simd_levels, table, train
from logq.word2vec.partitioned_engine import PartitionedEngine, buckets
from logq.word2vec.partitioned_table import PartitionedTable
from logq.word2vec.word2vec_config import Word2VecConfig
from word2vec_loop import MASK, UNIT, Student, bits_at, draw, outputs_of, plan, sigmoid, wyrand

PLACE = {"position": 1000, "seed": 2**63 + 5}


# ------------------------------------------------------------------------------------------------------- one bucket


class BucketStudent(Student):
    """The loop over pairs, of which those of other buckets are left out."""

    def train_bucket(self, blocks, place, first, second):
        partitions = len(self.setup.partition_cells)
        for block, negatives in zip(blocks, negatives_of_part(self.setup, blocks, second, **place), strict=True):
            (center,) = block.centers
            change_inputs, change_outputs = np.zeros_like(self.inputs), np.zeros_like(self.outputs)
            for word in center.context:
                if word % partitions != first:
                    continue
                if center.word % partitions == second:
                    self.count(block, 1)
                for row, label in outputs_of(self.setup, center.word, negatives):
                    if row % partitions != second:
                        continue
                    dot = self.inputs[word] @ self.outputs[row]
                    error = block.rate * (label - sigmoid(dot))
                    change_inputs[word] += error * self.outputs[row]
                    change_outputs[row] += error * self.inputs[word]
                    self.reckon(block, label, dot)
            self.inputs += change_inputs
            self.outputs += change_outputs


def negatives_of_part(setup, blocks, part, position, seed, **_):
    """For each window its negatives in a part: all that it has, or none."""
    found, partitions = [], len(setup.partition_cells)
    for unit, group in itertools.groupby(blocks, lambda block: block.centers[0].place // UNIT):
        start = bits_at(~seed & MASK, position + unit * UNIT) + part * 0xD1342543DE82EF95
        stream = wyrand(start & MASK)
        pool = [draw(setup.partition_cells[part], next(stream)) for _ in range(setup.pool)]
        for block in group:
            place = position + block.centers[0].place
            bits = bits_at(seed ^ 0x8EBC6AF09C88C6E3, place)
            rows = []
            if sum(bits >= int(share) for share in setup.shares[:-1]) == part:
                if block.reckoned or not pool:
                    own = wyrand(bits_at(~seed & MASK, place))
                    rows = [draw(setup.partition_cells[part], next(own)) for _ in range(setup.negatives)]
                else:
                    rows = [pool[(next(stream) >> 32) * setup.pool >> 32] for _ in range(setup.negatives)]
            found.append([row * partitions + part for row in rows])
    return found


def in_parts(setup, counts, partitions):
    """The setup for parts of tables."""
    parts, shares = cells_of_partitions(counts**0.75, partitions)
    return replace(setup, partition_cells=parts, shares=shares)


def problem(seed, words, dim, size=400, **options):
    """A setup, a text and both tables."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 50, size=words).astype(np.float64)
    keep = keep_thresholds(np.where(rng.random(words) < 0.5, 1.0, rng.uniform(0.6, 1, words)))
    setup = Setup(keep, cells=alias_cells(counts**0.75), **options)
    ids = np.minimum(rng.geometric(3 / (words + 3), size=size) - 1, words - 1).astype(np.int32)
    ids[rng.random(size) < 1 / 12] = -1
    tables = [rng.normal(size=(words, dim)).astype(np.float32) * dim**-0.25 for _ in range(2)]
    return setup, ids, tables, counts


def cut(rows, partitions):
    """The parts of a table, as the kernel wants them."""
    found = []
    for part in range(partitions):
        own = rows[part::partitions]
        found.append(table(len(own), rows.shape[1]))
        found[-1][:, : rows.shape[1]] = own
    return found


def train_buckets(parts, ids, setup, **place):
    """Train all buckets of parts in place, and return pairs and losses."""
    found = [
        train(parts[0][first], parts[1][second], ids, setup, begin=0, end=len(ids), bucket=(first, second), **place)
        for first, second in buckets(len(setup.partition_cells))
    ]
    return [sum(getattr(one, name) for one in found) for name in ("pairs", "loss_pairs", "loss_sum")]


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize(
    ("words", "partitions", "negatives", "pool", "window"),
    [(2, 2, 5, 256, 5), (9, 2, 7, 0, 12), (30, 3, 5, 3, 5), (61, 4, 20, 256, 2), (11, 11, 1, 0, 5)],
)
def test_equals_a_loop_over_the_pairs_of_each_bucket(words, partitions, negatives, pool, window, level):
    dim = 19
    setup, ids, tables, counts = problem(words, words, dim, negatives=negatives, pool=pool, window=window, simd=level)
    place = {**PLACE, "rate": (0.05, 1e-6, 0.001)}
    blocks = plan(ids, setup, begin=0, end=len(ids), **place)
    setup = in_parts(setup, counts, partitions)
    student = BucketStudent(*tables, setup)
    for first, second in buckets(partitions):
        student.train_bucket(blocks, place, first, second)
    parts = [cut(rows, partitions) for rows in tables]
    pairs, loss_pairs, loss = train_buckets(parts, ids, setup, **place)
    for of_table, expected in zip(parts, (student.inputs, student.outputs), strict=True):
        for part, rows in enumerate(of_table):
            np.testing.assert_allclose(rows[:, :dim], expected[part::partitions], rtol=1e-5, atol=1e-5)
            assert not rows[:, dim:].any()
    assert (pairs, loss_pairs) == (student.pairs, student.loss_pairs)
    np.testing.assert_allclose(loss, student.loss, rtol=1e-4)


@pytest.mark.parametrize("partitions", [2, 3, 8])
def test_all_buckets_have_the_pairs_of_the_whole_and_as_many_negatives(partitions):
    """While nothing is learned and all dots are 0, each pair and each negative that is no center costs log 2."""
    setup, ids, tables, counts = problem(1, 50, 12, size=20_000, window=5, loss_every=1)
    whole = [cut(rows * 0, 1)[0] for rows in tables]
    frozen = {**PLACE, "rate": (0.0, 0.0, 0.0)}
    one = train(*whole, ids, setup, begin=0, end=len(ids), **frozen)
    pairs, loss_pairs, loss = train_buckets(
        [cut(rows * 0, partitions) for rows in tables], ids, in_parts(setup, counts, partitions), **frozen
    )
    assert (pairs, loss_pairs) == (one.pairs, one.loss_pairs)
    assert loss == pytest.approx(one.loss_sum, rel=0.01)


def test_expected_gradient_vanishes_where_it_does_for_the_whole():
    """At F = log of how often y stands beside x over how often it is drawn there, no bucket moves any F on average.

    Inputs are unit vectors, so that an output row has one F each. Negatives that are the center are dropped, so y is
    drawn beside x k q(y) (n(x) - n(x, y)) times. Were
    negatives drawn from q(y) / q(part) for each pair of a bucket alone, F would differ by log P(part | x) / q(part),
    which the last line sees.
    """
    words, partitions, negatives, times, rate = 6, 2, 3, 400, 2e-5
    rng = np.random.default_rng(SEED)
    q = np.array([8.0, 6.0, 5.0, 3.0, 2.0, 1.0])
    ids = rng.choice(words, 2000, p=q / q.sum()).astype(np.int32)
    ids[rng.random(len(ids)) < 0.3] = 0  # so that parts are not as frequent as q has them
    n = np.zeros((words, words))
    np.add.at(n, (ids[:-1], ids[1:]), 1)
    n += n.T.copy()
    drawn = negatives * (q / q.sum()) * (n.sum(1, keepdims=True) - n)
    logits = np.log(n / drawn).T.astype(np.float32)  # (outputs, inputs)
    keep = keep_thresholds(np.ones(words))
    parts, shares = cells_of_partitions(q, partitions)
    setup = Setup(keep, window=1, partition_cells=parts, shares=shares, negatives=negatives, pool=0)
    moves = {bucket: [] for bucket in buckets(partitions)}
    for turn in range(times):
        for bucket in moves:
            inputs, outputs = cut(np.eye(words, dtype=np.float32), partitions), cut(logits, partitions)
            here = (inputs[bucket[0]], outputs[bucket[1]])
            place = {"begin": 0, "end": len(ids), "position": 0, "seed": SEED % 2**32 + turn, "rate": (rate, 0.0, 0.0)}
            train(*here, ids, setup, bucket=bucket, **place)
            columns = slice(bucket[0], words, partitions)
            move = here[1][:, columns.start : words : partitions] - logits[bucket[1] :: partitions, columns]
            moves[bucket].append(move / rate)
    for bucket, found in moves.items():
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0) / times**0.5
        # F moves on the way through the text, by `rate` times some tens, and so do up to 1,000 gradients after that.
        assert (abs(mean) < 6 * spread + 1000 * 30 * rate).all(), bucket
    shift = np.log((n[:, ::2].sum(1) / n.sum(1)) / (q[::2].sum() / q.sum()))
    assert abs(shift).max() > 0.05


# ---------------------------------------------------------------------------------------------------------- the table


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 9), st.data())
def test_table_is_an_array(rows, dim, partitions, data):
    partitions = min(partitions, rows)
    made, expected = PartitionedTable(rows, dim, partitions), np.zeros((rows, dim), np.float32)
    for turn in range(6):
        begin = data.draw(st.integers(0, rows))
        end = data.draw(st.integers(begin, rows))
        if turn % 2:
            part = data.draw(st.integers(0, partitions - 1))
            held = made.hold(part)
            assert (held[:, :dim] == expected[part::partitions]).all()
            assert not held[:, dim:].any()
            held[:, :dim] += turn
            expected[part::partitions] += turn
        else:
            made.write(begin, np.full((end - begin, dim), turn, np.float32))
            expected[begin:end] = turn
        assert (made[begin:end] == expected[begin:end]).all()
    assert (np.array(made) == expected).all()
    assert (len(made), made.size, made.nbytes) == (len(expected), expected.size, expected.nbytes)


def test_table_tells_of_a_full_disk(monkeypatch):
    class Full:
        def __init__(self, **_):
            pass

        def tell(self):
            return 0

        def seek(self, _):
            pass

        def close(self):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(partitioned_table.tempfile, "TemporaryFile", Full)
    with pytest.raises(OSError, match=r"No space left on device: a temporary file of .* GiB in .*TMPDIR"):
        PartitionedTable(10, 4, 2)


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_first_rows_are_those_of_one_partition(piece):
    assert (np.concatenate(list(first_rows(101, 7, 5, piece))) == first_vectors(101, 7, 5)).all()


@pytest.mark.parametrize("partitions", range(1, 9))
def test_each_bucket_is_trained_once_beside_a_part_that_was(partitions):
    order = list(buckets(partitions))
    assert sorted(order) == list(itertools.product(range(partitions), repeat=2))
    assert all((a == c) != (b == d) for (a, b), (c, d) in itertools.pairwise(order))


# ------------------------------------------------------------------------------------------------------ the estimator


def text(sentences=400, seed=0, topics=3, each=8):
    """Sentences of words of one topic each."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, each + 1)
    return [
        [f"t{topic}w{word}" for word in rng.choice(each, 9, p=p / p.sum())]
        for topic in rng.integers(topics, size=sentences)
    ]


def model(**options):
    return Word2Vec(**{"dim": 10, "min_count": 1, "sample": 0, "epochs": 8, "seed": 5, "partitions": 3, **options})


def test_one_span_is_a_step_through_the_buckets(monkeypatch):
    """The engine is the kernel on parts of the tables that FusedEngine has."""
    settings = {"dim": 10, "min_count": 1, "sample": 1e-3, "num_sampled": 5, "seed": 1, "threads": 1}
    words = Vocabulary.build(text(), min_count=1)
    start = first_vectors(len(words), 10, 3)
    engines = []
    for partitions in (1, 3):
        config = Word2VecConfig(**settings, partitions=partitions)
        if partitions == 1:
            engines.append(FusedEngine(config, words, start, 1))
        else:
            pieces = partitioned_engine.ArrayInPieces(start.dtype, start.shape, lambda: iter([start[:4], start[4:]]))
            engines.append(PartitionedEngine(config, words, pieces, 1))
    assert (engines[1].vectors[:] == engines[0].vectors).all()


def test_learns_what_belongs_together(monkeypatch, tmp_path):
    fitted = model().fit(text(), progress=False)
    words = fitted.vocabulary.index_to_key
    near = [(word, other) for word in words for other, _ in fitted.vectors.most_similar(word, topn=5)]
    assert np.mean([word[:2] == other[:2] for word, other in near]) > 0.95
    one = model(partitions=1).fit(text(), progress=False)
    assert fitted.mean_loss == pytest.approx(one.mean_loss, rel=0.05)
    assert words == one.vocabulary.index_to_key
    again = model().fit(text(), progress=False)
    assert (again.vectors.vectors == fitted.vectors.vectors).all()
    assert (again.output_vectors == fitted.output_vectors).all()
    monkeypatch.setattr(partitioned_table, "PIECE_BYTES", 200)
    fitted.save_vectors(tmp_path)
    assert (KeyedVectors.load(tmp_path).vectors == fitted.vectors.vectors).all()


@pytest.mark.parametrize("spans", [0, 2, 5])
def test_goes_on_from_a_checkpoint(spans, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_run.CorpusRun, "_step", lambda self: 1500)
    whole = model(epochs=2).fit(text(), progress=False)
    step, calls = corpus_run.CorpusRun._train_span, iter(range(spans))

    def stop(self, *arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_run.CorpusRun, "_train_span", stop)
        with pytest.raises(KeyboardInterrupt):
            model(epochs=2).fit(text(), progress=False, checkpoint=tmp_path)
    assert (tmp_path / checkpoint.FILE).exists()
    resumed = model(epochs=2).fit(text(), progress=False, checkpoint=tmp_path, resume=True)
    assert (resumed.vectors.vectors == whole.vectors.vectors).all()
    assert (resumed.output_vectors == whole.output_vectors).all()


def test_more_text_adds_words_and_a_failure_takes_them_back(monkeypatch):
    monkeypatch.setattr(partitioned_table, "PIECE_BYTES", 200)
    fitted = model().fit(text(), progress=False)
    before, words = fitted.vectors, fitted.vocabulary.index_to_key

    def check(grown, epoch):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fitted.fit(text(topics=5), progress=False, on_epoch_end=check)
    assert (fitted.vectors.vectors == before.vectors).all()
    monkeypatch.setattr(PartitionedEngine, "train", lambda self, *_: partitioned_engine.Losses(1, 1.0, 1))
    fitted.fit(text(topics=5), progress=False)
    assert len(fitted.vocabulary) > len(words)
    assert (fitted.vectors[words] == before[words]).all()
    fitted.fit(text(topics=5), new_words=False, progress=False)
    assert (fitted.vectors[words] == before[words]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sg": False}, "partitions: expected 1 for CBOW, got 3"),
        ({"hs": True}, "partitions: expected 1 for hierarchical softmax, got 3"),
        ({"objective": "nce"}, "partitions: expected 1 for the engine plain, got 3"),
        ({"shared_negatives": False}, "partitions: expected 1 for negatives of each pair's own, got 3"),
        ({"partitions": 0}, "partitions: expected .* >= 1, got 0"),
    ],
)
def test_says_what_has_no_partitions(options, message):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        model(**options)


def test_says_that_there_are_too_few_words():
    with pytest.raises(ValueError, match="partitions: expected at most one for each word, got 25 for 24 words"):
        model(partitions=25).fit(text(), progress=False)
