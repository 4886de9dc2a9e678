"""The old names with the old behaviour, for code that moves here: TensorFlow, Chainer, Keras and CS224n."""

__all__ = []
