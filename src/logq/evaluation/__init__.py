"""What can be said about vectors once they are trained: a map to look at, and how they do on what people know."""

from logq.evaluation.analogies import AnalogyResult, AnalogySection, read_analogies, word_analogies
from logq.evaluation.bootstrap import Interval
from logq.evaluation.correlation import Correlation
from logq.evaluation.likelihood import Likelihood, likelihood_of
from logq.evaluation.ranking import evaluate_ranking
from logq.evaluation.ranking_scores import RankingScores
from logq.evaluation.similarity import SimilarityResult, read_pairs, word_similarity
from logq.evaluation.top_items import top_items
from logq.evaluation.word_map import word_map

__all__ = [
    "AnalogyResult",
    "AnalogySection",
    "Correlation",
    "Interval",
    "Likelihood",
    "RankingScores",
    "SimilarityResult",
    "evaluate_ranking",
    "likelihood_of",
    "read_analogies",
    "read_pairs",
    "top_items",
    "word_analogies",
    "word_map",
    "word_similarity",
]
