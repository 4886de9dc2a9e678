"""Models in the formats of other programs: services without Python or torch, sentence-transformers, word2vec, KenLM."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
