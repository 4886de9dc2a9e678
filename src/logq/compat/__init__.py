"""The old names with the old behaviour, for code that moves here: TensorFlow, Chainer, Keras and CS224n.

Each door gives the numbers of its peer, which golden files in the tests hold, and says in its docstrings where it
differs, and which of the library's own parts to go on to.
"""

from logq.compat import chainer, cs224n, keras, tensorflow

__all__ = ["chainer", "cs224n", "keras", "tensorflow"]
