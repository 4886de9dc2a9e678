"""A model behind HTTP: `create_app` makes a FastAPI application that answers from word vectors and trained models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
