from .modules import CBOW as CBOW
from .modules import SkipGram as SkipGram
from .word2vec import Word2Vec as Word2Vec
