"""What validations ask, also of logs whose users hardly ever do something new."""

from logq._arguments import ArgumentError
from logq._warnings import warn
from logq.logs.interactions import Interactions
from logq.recommenders.ranking.ranker import KEEPS_SEEN, EvaluationWarning, Ranker, RankingTest

__all__ = ["FEW", "validation_test"]

FEW = 100
"""Events to be found with which a figure says little: that of one more moves it by a hundredth."""


def validation_test(
    ranker: Ranker, truth: Interactions, history: Interactions | None, *, exclude_seen: bool
) -> RankingTest:
    """The test of a validation part.

    Rankings leave out what users had, so that events of such items do not count. Where most events are of this kind, as
    with songs, and fewer than FEW are left, nothing could be chosen by these: then all items are ranked.

    Args:
        ranker: a fitted recommender, or one that is being fitted.
        truth: what users did.
        history: what they did before.
        exclude_seen: whether rankings are to leave out what users had.

    Warns:
        EvaluationWarning: more than a few events do not count, or all items are ranked after all.

    Raises:
        ArgumentError: nothing is left that could be found.

    Example:
        >>> import warnings
        >>> from logq import Popularity
        >>> from logq.logs import leave_one_out
        >>> split = leave_one_out(Interactions.from_sessions([["tea", "cup", "tea", "cup"]] * 3))
        >>> model = Popularity().fit(split)
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     test = validation_test(model, split.validation, split.history("validation"), exclude_seen=True)
        >>> test.exclude_seen, str(said[0].message).split(";")[0]
        (False, 'validation: only 0 of 3 events are of items that are new to their users')
    """
    found, refused = None, None
    try:
        found = RankingTest.of(ranker, truth, history, exclude_seen=exclude_seen)
    except ArgumentError as error:
        refused = error
        if not exclude_seen:
            raise
    left = 0 if found is None else found.events - found.already_had
    if found is not None and (not exclude_seen or left >= FEW or left >= found.already_had):
        if remark := found.remark():
            warn(f"validation: {remark}", EvaluationWarning)
        return found
    try:
        every = RankingTest.of(ranker, truth, history, exclude_seen=False)
    except ArgumentError:
        assert refused is not None
        raise refused from None
    text = (
        f"validation: only {left:,} of {every.events:,} events are of items that are new to their users; so items that "
        f"they had before are ranked too, as {KEEPS_SEEN} does"
    )
    warn(text, EvaluationWarning)
    return every
