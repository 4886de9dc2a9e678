"""SubwordConfig: the arguments of words that are trained with their character n-grams."""

from typing import Annotated, Any

from logq.text import CharacterNgrams
from logq.training.config import AtLeast, Help, configclass
from logq.training.options import ObjectiveConfig

__all__ = ["SubwordConfig"]


@configclass(group="Model")
class SubwordConfig(ObjectiveConfig):
    """Whether words consist of n-grams of characters, and which.

    Example:
        See Word2VecConfig, which has these arguments.
    """

    subwords: Annotated[
        bool,
        Help(
            "Whether words consist of their character n-grams too, so that words never seen have vectors.",
            more="The vector of a word is the mean of a row of its own and those of its n-grams, as in fastText.",
            typed="Learn vectors of character n-grams too: words never seen have vectors then.",
            group="Model",
            flag="--subwords/--whole-words",
        ),
    ] = False
    minn: Annotated[
        int, AtLeast(1), Help("Length of the shortest n-gram in characters, with subwords.", group="Model")
    ] = 3
    maxn: Annotated[
        int, AtLeast(1), Help("Length of the longest n-gram in characters, with subwords.", group="Model")
    ] = 6
    buckets: Annotated[
        int,
        AtLeast(1),
        Help(
            "Number of buckets that n-grams are hashed to, with subwords.",
            more="Only those that some word has take memory: 4 D bytes each.",
            group="Model",
            also=("bucket",),
        ),
    ] = 2_000_000

    @property
    def ngrams(self) -> CharacterNgrams | None:
        """The n-grams that words consist of; None without subwords."""
        return CharacterNgrams(self.minn, self.maxn, self.buckets) if self.subwords else None

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them; without subwords, as they were before there were any."""
        settings = super().settings()
        unused = () if self.subwords else ("subwords", "minn", "maxn", "buckets")
        return {name: value for name, value in settings.items() if name not in unused}
