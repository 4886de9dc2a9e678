"""Word2VecConfig: the arguments of Word2Vec."""

import os
import sys
from dataclasses import field
from typing import Annotated, Any, ClassVar

from logq._arguments import ArgumentError, ArgumentTypeError, check_int
from logq._warnings import warn
from logq.objectives import OBJECTIVES, objective_name
from logq.samplers.registry import SamplerChoice
from logq.text import Vocabulary
from logq.training.automatic_settings import AutomaticChoice, Rules
from logq.training.config import AUTO, Above, AtLeast, AtMost, Auto, Check, Help, OneOf, configclass
from logq.word2vec.engine_choice import HIERARCHICAL_SOFTMAX, EngineChoice
from logq.word2vec.kernel import simd_levels

__all__ = ["Word2VecConfig"]

MANY_WORDS = 40_000_000
"""Words in all epochs from which on frequent ones can be thinned out more, and pairs have more negatives."""

LEFT = 0.25
"""The share of a text that thinning out leaves at least; of languages it is half and more."""

NUM_SAMPLED = (5, 10)
"""Negatives of a pair for fewer words than that, and for as many or more."""

SAMPLE = (1e-3, 1e-4)
"""Thresholds for thinning out, likewise."""

LARGEST = 10_000
"""Of window, num_sampled and threads in the compiled engine."""


def _check_objective(name: str, value: Any) -> str:
    # As settings() has it where hs=True.
    return HIERARCHICAL_SOFTMAX if value == HIERARCHICAL_SOFTMAX else objective_name(value)


def _check_num_sampled(name: str, value: Any) -> int:
    try:
        return check_int(name, value)
    except ArgumentError as error:
        raise ArgumentError(name, error.expected, value, "hs trains without negatives") from None


def _check_device(name: str, value: Any) -> Any:
    return "cpu" if str(value) == "cpu" else value  # the engine knows about all others


def _check_simd(name: str, value: Any) -> str:
    if value != "auto" and value not in simd_levels():
        raise ArgumentError(name, f"auto or one of {', '.join(simd_levels())}", value)
    return value


@configclass(group="Model")
class Word2VecConfig(EngineChoice):
    """The arguments of Word2Vec.

    Example:
        >>> config = Word2VecConfig(num_sampled=10, sg=False)
        >>> config.lr, config.engine_name, config.negatives
        (0.065, 'fused', 10)
    """

    default_sampler: ClassVar = "unigram"
    unknown_hints: ClassVar = {
        "negative": "it is called num_sampled here; where hs=True, leave it out: the tree is trained alone",
        "sentences": "give the text to fit: Word2Vec(...).fit(text)",
        "corpus_file": "give the path to fit: Word2Vec(...).fit(path)",
        "min_alpha": "the learning rate falls to 1e-4 of lr",
        "sorted_vocab": "words are always sorted by frequency",
        "trim_rule": "give it to fit as keep=, a function that returns True, False or None",
        "batch_words": "leave it out: the engine chooses its own pieces; batch_size is for plain PyTorch",
        "hashfxn": "give a seed: first vectors do not depend on a hash of the words",
        "null_word": "leave it out: nothing here is padded",
        "comment": "leave it out; save_vectors writes how the vectors were made",
        "max_vocab_size": "it is called max_vocab here, and keeps the most frequent words",
        "compute_loss": "mean_loss is always there after fit",
        "callbacks": "give them to fit: Word2Vec(...).fit(text, callbacks=...)",
    }

    dim: Annotated[int, AtLeast(1), Help("Dimension of the vectors, D.", also=("vector_size", "size"))] = field(
        default=100, kw_only=False
    )
    window: Annotated[
        int,
        AtLeast(1),
        Help(
            "Maximum distance between a word and its neighbors.",
            more="That of each word is uniform in 1..window, unless `shrink_windows` is False.",
            typed="Maximum number of context words on each side.",
        ),
    ] = 5
    shrink_windows: Annotated[
        bool,
        Help(
            "Whether the size of each window is random, so that near words count more; otherwise all are full.",
            flag="--shrink-windows/--fixed-windows",
        ),
    ] = True
    sg: Annotated[
        bool,
        Help(
            "True for skip-gram, False for CBOW.",
            typed="Predict a word from one neighbor (skip-gram), or from all in the window (CBOW).",
            flag="--skip-gram/--cbow",
        ),
    ] = True
    cbow_mean: Annotated[
        bool,
        Help(
            "Whether CBOW averages the vectors in the window, or sums them.",
            typed="Whether CBOW averages or sums the vectors in the window.",
            flag="--cbow-mean/--cbow-sum",
        ),
    ] = True
    hs: Annotated[
        bool,
        Help(
            "Hierarchical softmax over a Huffman tree, instead of negatives.",
            more="The tree is trained alone, where gensim trains negatives beside it unless they are 0.",
        ),
    ] = False
    objective: Annotated[str, Check(_check_objective), Help(group="Model")] = "negative_sampling"
    sampler: Annotated[SamplerChoice | None, Help(group="Model", default="unigram")] = None
    num_sampled: Annotated[
        int,
        Check(_check_num_sampled),
        Auto("5, or 10 for 40 million words or more, counting all epochs"),
        Help("Number of negatives per pair, k.", group="Model", aliases=("negatives",)),
    ] = AUTO
    unigram_power: Annotated[
        float,
        Help(
            more="Below 0 rare words are drawn more often than frequent ones.",
            group="Model",
            aliases=("power",),
            also=("ns_exponent",),
        ),
    ] = 0.75
    shared_negatives: Annotated[
        bool | None,
        Help(
            "Whether pairs share their negatives: those of a window in the compiled engine, where False is the order "
            "of word2vec.c, as good and a third as fast; those of a batch in plain PyTorch, where True is faster, and "
            "with few negatives worse.",
            typed="Whether the pairs of a window share their negatives.",
            flag="--shared-negatives/--own-negatives",
            default="shared in the compiled engine, own in plain PyTorch",
        ),
    ] = None

    min_count: Annotated[
        int, AtLeast(1), Help("Minimum count of a word; rarer words are left out.", group="Corpus")
    ] = 5
    max_vocab: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Maximum number of words; the most frequent are kept.",
            group="Corpus",
            also=("max_final_vocab",),
        ),
    ] = None
    sample: Annotated[
        float,
        AtLeast(0),
        Auto("1e-3, or 1e-4 for 40 million words or more, counting all epochs"),
        Help(
            "Threshold t for thinning out frequent words, see Vocabulary.keep_probability; 0 keeps all.",
            typed="Downsample words more frequent than this at random; 0 keeps all.",
            group="Corpus",
        ),
    ] = AUTO

    epochs: Annotated[int, AtLeast(1), Help("Passes over the text.", group="Training", also=("iter",))] = 5
    lr: Annotated[
        float | None,
        Above(0),
        Help("Learning rate at the start.", group="Training", default="0.025, or 0.065 for CBOW", also=("alpha",)),
    ] = None
    partitions: Annotated[
        int,
        AtLeast(1),
        Help(
            "Number of parts that both tables of vectors are cut into; only two are in memory at a time.",
            more="For vocabularies whose vectors are larger than memory: the others are in a temporary file. Skip-gram "
            "with negative sampling in the compiled engine alone; each pair is trained as with 1, in another order, "
            "with negatives of the same expected counts.",
            typed="Parts of the vectors, of which two are in memory at a time; for huge vocabularies.",
            group="Training",
        ),
    ] = 1
    threads: Annotated[
        int | None,
        AtLeast(1),
        AtMost(LARGEST),
        Help(
            "Number of threads.",
            more="Threads of the compiled engine update the same vectors without locks, so no two runs are alike. "
            "Plain PyTorch uses one by default.",
            group="Training",
            default="all cores, or 1 with a seed",
            also=("workers",),
        ),
    ] = None
    seed: Annotated[
        int | None,
        AtLeast(0),
        Help(
            "Random seed; makes a run repeatable.",
            more="On one thread the same seed gives the same vectors, bit for bit on one machine; on a GPU it gives "
            "the same windows and negatives, but their updates are summed in varying order.",
            typed="Seed; makes a run repeatable, bit for bit on one thread.",
            group="Training",
        ),
    ] = None
    engine: Annotated[
        str,
        OneOf("auto", "fused", "triton", "plain"),
        Help(
            "Engine: compiled for the CPU (fused), for a GPU (triton), or plain PyTorch (plain).",
            more="On a GPU no two runs give the same bits, as many programs add to the same vectors in varying order; "
            "under torch.use_deterministic_algorithms plain PyTorch trains instead.",
            group="Training",
        ),
    ] = "auto"
    batch_size: Annotated[
        int | None,
        AtLeast(1),
        Help(
            "Examples in a step of plain PyTorch, which this asks for.",
            more="The gradients of a step are summed, so a rate that is right for small batches diverges with large "
            "ones, the sooner the fewer words there are.",
            typed="Examples in a step of plain PyTorch.",
            group="Training",
            default="an eighth of the vocabulary, but at most 512",
        ),
    ] = None
    device: Annotated[
        Any,
        Check(_check_device),
        Help(
            'Where to train: "cpu", or a GPU such as "cuda" or "cuda:1".',
            typed="Where to train: cpu, or a GPU such as cuda or cuda:1.",
            group="Training",
        ),
    ] = "cpu"
    simd: Annotated[
        str,
        Check(_check_simd),
        Help(
            'Instruction set of the compiled engine, one of logq.word2vec.kernel.simd_levels() or "auto".',
            typed="Instruction set of the compiled engine.",
            group="Training",
            hidden=True,
            saved=False,
        ),
    ] = "auto"

    rules: ClassVar[Rules] = {
        "num_sampled": lambda words, own: own._by_words(words, NUM_SAMPLED),
        "sample": lambda words, own: own._by_words(words, SAMPLE[: 1 + (words.share_kept(SAMPLE[1]) >= LEFT)]),
    }

    def _by_words(self, words: Vocabulary, values: tuple[float, ...]) -> AutomaticChoice:
        """The first or the last value, by the words of the text that are known."""
        seen = words.total * self.epochs
        return AutomaticChoice(values[-1 if seen >= MANY_WORDS else 0], f"{seen:,} words in all epochs")

    def __post_init__(self) -> None:
        if isinstance(self.dim, list | tuple | str | os.PathLike):  # gensim's first argument is the text
            hint = "give the text to fit: Word2Vec(...).fit(text)"
            raise ArgumentTypeError("dim", "an integer >= 1", self.dim, hint)
        super().__post_init__()
        # As it is now: a second fit continues on the engine of the first. Without torch nobody has asked for it.
        torch = sys.modules.get("torch")
        self._deterministic = torch is not None and torch.are_deterministic_algorithms_enabled()
        if self.hs and "num_sampled" in self.auto:
            self.num_sampled = NUM_SAMPLED[0]  # what settings say of a tree, which has none
            self.auto -= {"num_sampled"}
        if self.hs and self.num_sampled != NUM_SAMPLED[0]:
            text = f"{self.num_sampled} negatives are not used: hs trains the tree alone, where gensim trains both"
            warn(f"num_sampled: {text}")
        _ = self.ngrams  # checks them
        for name in () if self.subwords else ("minn", "maxn", "buckets"):
            if (value := getattr(self, name)) != self.options()[name].default:
                warn(f"{name}: {value:,} is not used without subwords")
        if self.lr is None:
            self.lr = 0.025 if self.sg else 0.065
        if self.engine == "fused" and self.why_not_fused:
            hint = f"there is no fused kernel for {self.why_not_fused}"
            raise ArgumentError("engine", "'auto' or 'plain'", self.engine, hint)
        if self.engine == "triton" and self.why_not_triton:
            raise ArgumentError("engine", "'auto' or 'plain'", self.engine, self.why_not_triton)
        self._check_partitions()
        if self.engine_name == "fused":
            # The engine checks them again; here they are said before an hour of reading words.
            for name in ("window", "num_sampled"):
                if (number := getattr(self, name)) != AUTO and number > LARGEST:
                    raise ArgumentError(name, f"1 to {LARGEST:,}", number, "the plain engine has no limit")

    def _check_partitions(self) -> None:
        """Also before a fit, as their number may be another one where a model goes on."""
        if self.partitions > 1 and self.why_not_partitioned:
            raise ArgumentError("partitions", f"1 for {self.why_not_partitioned}", self.partitions)

    def _settle_sampler(self) -> None:
        if self.hs:
            if self.objective not in ("negative_sampling", HIERARCHICAL_SOFTMAX):
                raise ArgumentError("objective", "the default, as hs is a loss of its own", self.objective)
            if self.sampler is not None:
                raise ArgumentError("sampler", "None, as hs does not sample", self.sampler)
            self.objective = HIERARCHICAL_SOFTMAX
        elif self.objective == HIERARCHICAL_SOFTMAX:
            raise ArgumentError("objective", f"one of {', '.join(OBJECTIVES)}", self.objective, "choose hs instead")
        else:
            super()._settle_sampler()

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them; a function is "custom", and `engine` is the one that trains."""
        return {**super().settings(), "engine": self.engine_name}
