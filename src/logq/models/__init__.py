"""Models: what turns the input of an example into a query vector. Torch and shapes only, one paper a file."""

from logq.models.airbnb import AirbnbEmbeddings
from logq.models.base import RetrievalModel
from logq.models.eges import EGES
from logq.models.mind import MIND
from logq.models.nnlm import NNLM
from logq.models.recurrent import Recurrent
from logq.models.sasrec import SASRec
from logq.models.sdm import SDM
from logq.models.two_tower import TwoTower
from logq.models.word2vec import CBOW, SkipGram
from logq.models.youtube_dnn import YoutubeDNN

__all__ = [
    "CBOW",
    "EGES",
    "MIND",
    "NNLM",
    "SDM",
    "AirbnbEmbeddings",
    "Recurrent",
    "RetrievalModel",
    "SASRec",
    "SkipGram",
    "TwoTower",
    "YoutubeDNN",
]
