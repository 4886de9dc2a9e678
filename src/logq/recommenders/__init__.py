"""Recommenders: fitted from an interaction log, they recommend items to users, and find items like others."""

from logq.recommenders.airbnb import AirbnbEmbeddings
from logq.recommenders.base import Recommender
from logq.recommenders.eges import EGES
from logq.recommenders.fitting import FitOptions, HeldOut
from logq.recommenders.histories import Histories
from logq.recommenders.item2vec import Item2Vec
from logq.recommenders.item_knn import ItemKNN
from logq.recommenders.mind import MIND
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.popularity import Popularity
from logq.recommenders.recommendations import Recommendations
from logq.recommenders.sasrec import SASRec
from logq.recommenders.sdm import SDM
from logq.recommenders.two_tower import TwoTower
from logq.recommenders.youtube_dnn import YoutubeDNN

__all__ = [
    "EGES",
    "MIND",
    "SDM",
    "AirbnbEmbeddings",
    "FitOptions",
    "HeldOut",
    "Histories",
    "Item2Vec",
    "ItemKNN",
    "NeuralOptions",
    "NeuralRecommender",
    "Popularity",
    "Recommendations",
    "Recommender",
    "SASRec",
    "TwoTower",
    "YoutubeDNN",
]
