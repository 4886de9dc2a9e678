"""What is trained: one GRU under every way to the next word, chosen before the test text was looked at.

Model, batches and dropout are those of leimao/Sampled-Softmax-PyTorch (embedding 100, GRU 200, 64 columns, 10 words,
dropout 0.2, 5 epochs); the optimizer is Adam, whose rate falls linearly, instead of its Adagrad. Samples are drawn
without replacement and shared by a batch, the default here and in TensorFlow.
"""

from typing import Any, NamedTuple

EPOCHS = 5
GRU: dict[str, Any] = {
    "cell": "gru",
    "dim": 100,
    "hidden": 200,
    "batch_size": 64,
    "bptt": 10,
    "dropout": 0.2,
    "epochs": EPOCHS,
    "optimizer": "adam",
    "lr": 0.002,
    "decay": "linear",
    "clip": None,
}


class Row(NamedTuple):
    """A line of the table.

    Args:
        name: what stands first.
        options: of the estimator, beside GRU.
        estimator: of logq.
    """

    name: str
    options: dict[str, Any]
    estimator: str = "RecurrentLM"

    def arguments(self) -> dict[str, Any]:
        """Of the estimator."""
        return {**(GRU if self.estimator == "RecurrentLM" else {}), **self.options}


def sampled(objective: str, sampler: str, k: int, **options: Any) -> Row:
    """A row of the table of objectives, with a sampler and a number of samples."""
    name = f"{objective.replace('_', ' ')}, {sampler.replace('_', '-')}, k = {k:,}"
    if not options.get("log_q", True):
        name += ", without log Q"
    power = {"unigram_power": 1.0} if sampler == "unigram" else {}
    return Row(name, {"objective": objective, "sampler": sampler, "num_sampled": k, **power, **options})


FULL = Row("full softmax", {"objective": "full_softmax"})
SAMPLED_200 = sampled("sampled_softmax", "log_uniform", 200)

PTB = (
    FULL,
    sampled("sampled_softmax", "log_uniform", 1000),
    sampled("sampled_softmax", "unigram", 1000),
    sampled("nce", "unigram", 1000),
    SAMPLED_200,
    sampled("negative_sampling", "unigram", 200),
    Row("hierarchical softmax, Huffman", {"objective": "hierarchical_softmax"}),
    sampled("sampled_logistic", "unigram", 200),
    Row("adaptive softmax (torch), 2,000 and 6,000", {"objective": "adaptive_softmax"}),
    sampled("sampled_softmax", "unigram", 200),
    sampled("sampled_softmax", "uniform", 200),
    sampled("sampled_softmax", "log_uniform", 50),
    sampled("sampled_softmax", "unigram", 50),
    sampled("sampled_softmax", "uniform", 50),
    sampled("sampled_softmax", "uniform", 1000),
    sampled("nce", "unigram", 200),
    sampled("nce", "unigram", 50),
    sampled("sampled_softmax", "log_uniform", 200, log_q=False),
)

WIKI = (
    (FULL, 1),
    (sampled("sampled_softmax", "log_uniform", 1000), 1),
    (sampled("nce", "unigram", 1000), 1),
    (sampled("sampled_softmax", "log_uniform", 1000), 10),
)
"""Rows, and how many times the words of the first they are trained on."""
