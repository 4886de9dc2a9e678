"""Evaluation: word vectors on analogies, similarities and a map; language models by likelihood; and full rankings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
