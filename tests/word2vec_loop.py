"""word2vec as a student would write it: plain Python and float64, from the papers and the comments, no code of logq.

`plan` says what is trained: which words stay, the windows, the negatives. `train` does it, one pair after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

MASK = (1 << 64) - 1
UNIT = 1024  # entries of text whose negatives come from one pool


def bits_at(seed: int, place: int) -> int:
    """64 random bits of a place: the finalizer of splitmix64."""
    a = (seed + (place + 1) * 0x9E3779B97F4A7C15) & MASK
    a = (a ^ (a >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    a = (a ^ (a >> 27)) * 0x94D049BB133111EB & MASK
    return a ^ (a >> 31)


def wyrand(state: int) -> Iterator[int]:
    while True:
        state = (state + 0xA0761D6478BD642F) & MASK
        product = state * (state ^ 0xE7037ED1A0B428DB)
        yield (product >> 64) ^ (product & MASK)


def draw(cells, bits: int) -> int:
    """Walker: a cell by the high half of bits * V, then itself or its alias by the low half."""
    product = bits * len(cells)
    cell, within = product >> 64, (product & MASK) >> 32
    share, alias = int(cells[cell]) & 0xFFFFFFFF, int(cells[cell]) >> 32
    return cell if within < share else alias


@dataclass
class Center:
    """A word to predict, and the words around it."""

    place: int
    word: int
    context: list[int]


@dataclass
class Block:
    """Centers that are trained at once. One list of negatives, or one for each pair."""

    centers: list[Center]
    negatives: list[list[int]]
    reckoned: bool
    rate: float


def centers(ids, setup, begin: int, end: int, position: int, seed: int) -> list[list[Center]]:
    """The centers of each sentence."""
    sentences: list[list[tuple[int, int]]] = [[]]
    for place, word in enumerate(ids.tolist()):
        if word < 0:
            sentences.append([])
        elif bits_at(seed, position + place) >> 32 <= int(setup.keep[word]):
            sentences[-1].append((place, word))
    found = []
    for sentence in sentences:
        found.append([])
        for i, (place, word) in enumerate(sentence):
            reach = 1 + ((bits_at(seed, position + place) & 0xFFFFFFFF) * setup.window >> 32)
            around = sentence[max(i - reach, 0) : i] + sentence[i + 1 : i + 1 + reach]
            if begin <= place < end:
                found[-1].append(Center(place, word, [other for _, other in around]))
    return found


def plan(ids, setup, *, begin, end, position, seed, rate) -> list[Block]:
    start, slope, floor = rate
    sentences = centers(ids, setup, begin, end, position, seed)
    size = block_size(setup)
    blocks = []
    for unit in range(begin, end, UNIT):
        of_unit = []
        for sentence in sentences:
            here = [center for center in sentence if unit <= center.place < unit + UNIT]
            of_unit += [here[i : i + size] for i in range(0, len(here), size)]
        sets = len(of_unit) if setup.skip_gram else sum(map(len, of_unit))
        from_pool = iter(pool_negatives(setup, sets, position + unit, seed))
        for group in of_unit:
            places = [position + center.place for center in (group[:1] if setup.skip_gram else group)]
            negatives, place = [next(from_pool) for _ in places], places[0]
            reckoned = bits_at(seed ^ 0xA0761D6478BD642F, place) & 63 == 0
            if setup.tree is not None:
                negatives = [[]]
            elif setup.skip_gram and not setup.shared:
                negatives = [own_negatives(setup, place, pair, seed) for pair in range(len(group[0].context))]
            elif reckoned or not setup.pool or not setup.shared:
                negatives = [own_negatives(setup, each, 0, seed) for each in places]
            blocks.append(Block(group, negatives, reckoned, max(floor, start - slope * place)))
    return blocks


def block_size(setup) -> int:
    return setup.block if setup.shared and setup.tree is None else 1


def own_negatives(setup, place: int, pair: int, seed: int) -> list[int]:
    state = bits_at(~seed & MASK, place) + pair * 0xD1342543DE82EF95
    return [draw(setup.cells, bits) for bits in islice(wyrand(state & MASK), setup.negatives)]


def pool_negatives(setup, sets: int, place: int, seed: int) -> list[list[int]]:
    """For each block of a unit, or each of its centers for CBOW, negatives out of the unit's pool: two for 64 bits."""
    if setup.tree is not None or not setup.pool or not setup.shared:
        return [[]] * sets
    bits = wyrand(bits_at(~seed & MASK, place))
    pool = [draw(setup.cells, next(bits)) for _ in range(setup.pool)]
    chosen = []
    for _ in range(0, sets * setup.negatives, 2):
        both = next(bits)
        chosen += [pool[half * setup.pool >> 32] for half in (both >> 32, both & 0xFFFFFFFF)]
    return [chosen[i * setup.negatives : (i + 1) * setup.negatives] for i in range(sets)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def outputs_of(setup, word: int, negatives: list[int]) -> list[tuple[int, float]]:
    """Rows of the output table and their labels. A negative that is the word to predict is dropped."""
    if setup.tree is None:
        return [(word, 1.0)] + [(negative, 0.0) for negative in negatives if negative != word]
    points, codes = setup.tree.path(word)
    return [(int(point), 1.0 - int(code)) for point, code in zip(points, codes, strict=True)]


class Student:
    """Two tables in float64, and what the training came to."""

    def __init__(self, inputs, outputs, setup) -> None:
        self.inputs, self.outputs, self.setup = inputs.astype(np.float64), outputs.astype(np.float64), setup
        self.pairs = self.loss_pairs = 0
        self.loss = 0.0

    def train(self, blocks: list[Block]) -> None:
        for block in blocks:
            if not self.setup.skip_gram:
                self.cbow(block) if block_size(self.setup) == 1 else self.cbow_at_once(block)
            elif self.setup.shared:
                self.at_once(block)
            else:
                self.one_after_the_other(block)

    def count(self, block: Block, pairs: int) -> None:
        self.pairs += pairs
        self.loss_pairs += pairs if block.reckoned else 0

    def reckon(self, block: Block, label: float, dot: float) -> None:
        if block.reckoned:
            self.loss += np.logaddexp(0, -dot if label else dot)

    def at_once(self, block: Block) -> None:
        """All pairs see both tables as they were before."""
        change_inputs, change_outputs = np.zeros_like(self.inputs), np.zeros_like(self.outputs)
        for center in block.centers:
            for word in center.context:
                for row, label in outputs_of(self.setup, center.word, block.negatives[0]):
                    dot = self.inputs[word] @ self.outputs[row]
                    error = block.rate * (label - sigmoid(dot))
                    change_inputs[word] += error * self.outputs[row]
                    change_outputs[row] += error * self.inputs[word]
                    self.reckon(block, label, dot)
            self.count(block, len(center.context))
        self.inputs += change_inputs
        self.outputs += change_outputs

    def gradient(self, block: Block, query, word: int, negatives: list[int]):
        """One output after the other, each as it is by then; the query stays."""
        total = np.zeros_like(query)
        for row, label in outputs_of(self.setup, word, negatives):
            dot = query @ self.outputs[row]
            error = block.rate * (label - sigmoid(dot))
            total += error * self.outputs[row]
            self.outputs[row] += error * query
            self.reckon(block, label, dot)
        return total

    def one_after_the_other(self, block: Block) -> None:
        (center,) = block.centers
        for pair, word in enumerate(center.context):
            negatives = block.negatives[0 if self.setup.tree is not None else pair]
            self.inputs[word] += self.gradient(block, self.inputs[word].copy(), center.word, negatives)
        self.count(block, len(center.context))

    def query(self, center: Center):
        total = sum(self.inputs[word] for word in center.context)
        return total / len(center.context) if self.setup.mean else total

    def cbow_at_once(self, block: Block) -> None:
        """Errors of all windows from the tables as they were before; then one window's outputs after the other's."""
        windows = []
        for center, negatives in zip(block.centers, block.negatives, strict=True):
            if not center.context:
                continue
            query, errors = self.query(center), {}
            for row, label in outputs_of(self.setup, center.word, negatives):
                dot = query @ self.outputs[row]
                errors[row] = errors.get(row, 0.0) + block.rate * (label - sigmoid(dot))
                self.reckon(block, label, dot)
            windows.append((center, query, errors))
            self.count(block, 1)
        changes = []
        for center, query, errors in windows:
            changes.append((center, sum(error * self.outputs[row] for row, error in errors.items())))
            for row, error in errors.items():
                self.outputs[row] += error * query
        for center, change in changes:
            for word in center.context:
                self.inputs[word] += change

    def cbow(self, block: Block) -> None:
        (center,) = block.centers
        if not center.context:
            return
        change = self.gradient(block, self.query(center), center.word, block.negatives[0])
        for word in center.context:
            self.inputs[word] += change
        self.count(block, 1)
