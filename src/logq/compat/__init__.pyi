from . import chainer as chainer
from . import cs224n as cs224n
from . import keras as keras
from . import tensorflow as tensorflow
