"""Modules that own class weights: losses in training, log-probabilities and the best classes afterwards."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
