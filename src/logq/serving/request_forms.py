"""The bodies of requests and answers, as pydantic checks them and OpenAPI describes them."""

# The types of fields depend on limits, which a type checker does not know.
# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from logq.serving.limits import ServingLimits

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Form", "make_forms"]


class Form(NamedTuple):
    """A route.

    Args:
        request: what its body has.
        answer: what comes back.
        summary: what it is for, in a few words.
        description: the same, in sentences.

    Example:
        >>> form = make_forms("language model", ServingLimits())["/next"]
        >>> form.request(prompt="a rose").k
        10
    """

    request: "type[BaseModel]"
    answer: "type[BaseModel]"
    summary: str
    description: str


def make_forms(family: str, limits: ServingLimits) -> dict[str, Form]:
    """The routes of a family of models, by path.

    Args:
        family: "recommender", "word vectors" or "language model".
        limits: of lists, texts and k.

    Example:
        >>> sorted(make_forms("recommender", ServingLimits()))
        ['/recommend', '/score', '/similar']
    """
    make = {"recommender": _of_recommenders, "word vectors": _of_words, "language model": _of_texts}
    return make[family](limits)


def _absent() -> Any:
    """The default of what may be left out: it is not null, which no field takes."""
    return None


def _whole() -> Any:
    """The type of integers; JSON has no other numbers than numbers, of which 5.0 is an integer too."""
    from pydantic import BeforeValidator

    def read(value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return Annotated[int, BeforeValidator(read)]


def _base(*, one_of: tuple[str, ...] = ()) -> Any:
    """The base of requests: strict types, no other fields, and exactly one of some fields."""
    from pydantic import BaseModel, ConfigDict, model_validator
    from pydantic_core import PydanticCustomError

    extra: Any = {"oneOf": [{"required": [name]} for name in one_of]} if one_of else None

    class Request(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=extra, allow_inf_nan=False)

        @model_validator(mode="after")
        def check_one(self) -> Any:
            given = [name for name in one_of if name in self.model_fields_set]
            if one_of and len(given) != 1:
                expected = f"exactly one of {', '.join(one_of)}"
                got = ", ".join(given) or "none"
                raise PydanticCustomError(
                    "one_of", "{expected}", {"expected": expected, "chosen": got, "field": one_of[0]}
                )
            return self

    return Request


def _ids(limits: ServingLimits) -> tuple[Any, Any]:
    """The types of an id and of a list of them."""
    from pydantic import Field

    text = Annotated[str, Field(max_length=limits.characters)]
    one: Any = Annotated[_whole(), Field(ge=-(2**63), lt=2**63)] | text
    return one, Annotated[list[one], Field(max_length=limits.items)]


def _of_words(limits: ServingLimits) -> dict[str, Form]:
    from pydantic import BaseModel, Field

    whole = _whole()
    one_word: Any = Annotated[str, Field(max_length=limits.characters)]
    vector: Any = Annotated[list[float], Field(max_length=limits.items)]
    terms: Any = Annotated[list[one_word | vector], Field(max_length=limits.items)]

    class NeighborsRequest(_base(one_of=("word", "positive"))):
        word: one_word = Field(default_factory=_absent, description="A word, whose nearest words are asked for.")
        positive: terms = Field(
            default_factory=_absent,
            min_length=1,
            description="Instead of a word: words and vectors to add up. king + woman - man has "
            '["king", "woman"] here and ["man"] in `negative`.',
        )
        negative: terms = Field(default_factory=_absent, description="Words and vectors to subtract from the sum.")
        k: whole = Field(default=10, ge=1, le=limits.k, description="How many words to name at most.")
        restrict_vocab: whole = Field(
            default_factory=_absent, ge=1, description="Answer by the first words only, the most frequent ones."
        )

    class Neighbor(BaseModel):
        word: str
        cosine: float = Field(description="Of the angle between the vectors, from -1 to 1.")

    class NeighborsAnswer(BaseModel):
        neighbors: list[Neighbor] = Field(description="The nearest first, without the words of the question.")

    pair: Any = Annotated[list[one_word], Field(min_length=2, max_length=2)]

    class SimilarityRequest(_base()):
        pairs: Annotated[list[pair], Field(max_length=limits.items)] = Field(description="Pairs of words to compare.")

    class Similarity(BaseModel):
        words: list[str]
        cosine: float

    class SimilarityAnswer(BaseModel):
        scores: list[Similarity] = Field(description="In the order of the pairs.")

    return {
        "/neighbors": Form(
            NeighborsRequest,
            NeighborsAnswer,
            "Words nearest to a word, or to a sum of words",
            "The words whose vectors have the highest cosine with that of a word, or with a sum of words and vectors, "
            "as an analogy is: king + woman - man.",
        ),
        "/score": Form(
            SimilarityRequest,
            SimilarityAnswer,
            "How alike words are",
            "The cosine between the vectors of each pair of words.",
        ),
    }


def _of_texts(limits: ServingLimits) -> dict[str, Form]:
    from pydantic import BaseModel, Field

    whole = _whole()
    line: Any = Annotated[str, Field(max_length=limits.characters)]
    about = "Words between white space, written as in the training text; unknown ones count as <unk>."

    class NextRequest(_base()):
        prompt: line = Field(default="", description=f'The beginning of a line, "" for its first word. {about}')
        k: whole = Field(default=10, ge=1, le=limits.k, description="How many words to name at most.")

    class NextWord(BaseModel):
        word: str = Field(description="</s> is the end of the line.")
        probability: float
        log_prob: float | None = Field(description="Natural logarithm; null where the word is impossible.")

    class NextAnswer(BaseModel):
        words: list[NextWord] = Field(description="The most probable words, the most probable first.")
        unknown: list[str] = Field(description="Words of the prompt that the model does not know.")

    class TextRequest(_base()):
        text: line = Field(description=f"A line. {about}")
        end: bool = Field(default=True, description="Whether the line ends after these words.")

    class ScoredWord(BaseModel):
        word: str
        log_prob: float | None = Field(description="Given the words before it; null where it is impossible.")

    class TextAnswer(BaseModel):
        log_prob: float | None = Field(description="Of the line, a natural logarithm; null where it is impossible.")
        perplexity: float | None = Field(description="exp(-log_prob / words); null where it is infinite.")
        words: list[ScoredWord]
        unknown: list[str] = Field(description="Words that the model does not know.")

    class GenerateRequest(_base()):
        prompt: line = Field(default="", description=f"The beginning of the line. {about}")
        max_words: whole = Field(default=50, ge=0, le=limits.k, description="How many words to add at most.")
        temperature: float = Field(
            default=1.0,
            ge=0,
            description="Below 1 favors probable words, 0 takes the most probable one, above 1 evens them out.",
        )
        top_k: whole = Field(default_factory=_absent, ge=1, description="Draw from that many most probable words only.")
        seed: whole = Field(default_factory=_absent, ge=0, lt=2**63, description="The same seed gives the same line.")

    class GenerateAnswer(BaseModel):
        text: str = Field(description="The line, with the prompt.")
        unknown: list[str] = Field(description="Words of the prompt that the model does not know.")

    return {
        "/next": Form(
            NextRequest,
            NextAnswer,
            "The most probable next words",
            "Which words come next after the beginning of a line, with their probabilities.",
        ),
        "/score": Form(
            TextRequest,
            TextAnswer,
            "How probable a line is",
            "The probability of a line and of each of its words, given those before it.",
        ),
        "/generate": Form(
            GenerateRequest,
            GenerateAnswer,
            "Continue a line",
            "Draw word after word until the line ends.",
        ),
    }


def _of_recommenders(limits: ServingLimits) -> dict[str, Form]:
    from pydantic import BaseModel, Field

    whole = _whole()
    one, several = _ids(limits)
    scalar: Any = Annotated[str, Field(max_length=limits.characters)] | bool | int | float | None
    named: Any = Annotated[
        dict[str, scalar | Annotated[list[scalar], Field(max_length=limits.items)]], Field(max_length=limits.items)
    ]
    unknown_text = (
        'What to do about unknown users and items, and about users with nothing to rank by: "raise" refuses the '
        'request, "ignore" leaves such items out and gives such users nothing'
    )

    class Reason(BaseModel):
        item: int | str
        cosine: float | None = Field(default=None, description="With the recommended item.")
        contribution: float | None = Field(default=None, description="Of this item to the score.")
        title: str = ""

    class Recommended(BaseModel):
        item: int | str
        score: float = Field(description="What the model ranks by; it can be compared within one answer.")
        title: str = Field(default="", description="Where titles are known.")
        because: list[Reason] = Field(default=[], description="With `explain`: what speaks for the item.")

    class Asking(_base(one_of=("user", "history"))):
        user: one = Field(default_factory=_absent, description="A user of the log.")
        history: several = Field(
            default_factory=_absent, description="Instead of a user: the items of a history, the oldest first."
        )
        user_features: named = Field(
            default_factory=_absent, description="Features of the user by name, instead of those of the log."
        )
        context: named = Field(
            default_factory=_absent,
            description="Context of the request by column, if the model was trained with context columns.",
        )
        unknown: Literal["raise", "ignore", "popular"] = Field(
            default="raise", description=f'{unknown_text}, "popular" gives them the most popular items.'
        )

    class RecommendRequest(Asking):
        k: whole = Field(default=10, ge=1, le=limits.k, description="How many items to name at most.")
        exclude_seen: bool = Field(default=True, description="Leave out what the user has had.")
        allow: several = Field(default_factory=_absent, description="The only items that may be recommended.")
        exclude: several = Field(default_factory=_absent, description="Items to leave out.")
        diversity: float = Field(
            default=0.0, ge=0, le=1, description="How much an item loses by being like one before it, from 0 to 1."
        )
        explain: bool = Field(default=False, description="Name the items of the history that speak most for each item.")

    class RecommendAnswer(BaseModel):
        items: list[Recommended] = Field(description="The best items, the best first.")
        status: str = Field(default="", description="What was done about what is unknown.")

    class SimilarRequest(_base(one_of=("item", "item_features", "user"))):
        item: one = Field(default_factory=_absent, description="An item of the log.")
        item_features: named = Field(
            default_factory=_absent,
            description="Instead of an item: features of a new one by name, if the model learned from features.",
        )
        user: one = Field(default_factory=_absent, description="Instead of an item: a user, for users like them.")
        k: whole = Field(default=10, ge=1, le=limits.k, description="How many to name at most.")
        allow: several = Field(default_factory=_absent, description="The only items that may be found.")
        unknown: Literal["raise", "ignore"] = Field(default="raise", description=f"{unknown_text}.")

    class SimilarItem(BaseModel):
        item: int | str
        cosine: float = Field(description="Of the vectors of both items, or what the model has instead.")
        title: str = ""

    class SimilarUser(BaseModel):
        user: int | str
        cosine: float

    class SimilarAnswer(BaseModel):
        items: list[SimilarItem] = Field(default=[], description="The most similar items, without the item itself.")
        users: list[SimilarUser] = Field(default=[], description="The most similar users, where one was asked about.")
        status: str = Field(default="", description="What was done about what is unknown.")

    class ScoreRequest(Asking):
        items: several = Field(min_length=1, description="The items to score.")

    class Scored(BaseModel):
        item: int | str
        score: float | None = Field(description="Null where there is none.")
        title: str = ""

    class ScoreAnswer(BaseModel):
        scores: list[Scored] = Field(description="In the order of the items.")

    return {
        "/recommend": Form(
            RecommendRequest,
            RecommendAnswer,
            "The best items for a user or a history",
            "What a user of the log, or a new one with a given history, may want next.",
        ),
        "/similar": Form(
            SimilarRequest,
            SimilarAnswer,
            "Items like an item, or users like a user",
            "The items with the nearest vectors, or the users who are ranked for most alike.",
        ),
        "/score": Form(
            ScoreRequest,
            ScoreAnswer,
            "Scores of given items",
            "How well items suit a user or a history, as /recommend ranks by.",
        ),
    }
