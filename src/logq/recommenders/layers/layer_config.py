"""LAYERS, the layers for histories by name, and LayerConfig, which chooses one and checks what it reads."""

from collections.abc import Mapping
from typing import Annotated

from logq._arguments import ArgumentError
from logq.recommenders.layers.attention_layer import AttentionLayer
from logq.recommenders.layers.bsarec import BSARecLayer
from logq.recommenders.layers.gru4rec import GRU4RecLayer
from logq.recommenders.layers.hstu import HSTULayer
from logq.recommenders.layers.ligr import LiGRLayer
from logq.recommenders.layers.sequence_layer import BlockConfig, SequenceLayer
from logq.recommenders.layers.wearec import WEARecLayer
from logq.training.config import AUTO, Help, OneOf, configclass

__all__ = ["LAYERS", "LayerConfig"]

LAYERS: Mapping[str, type[SequenceLayer]] = {
    "attention": AttentionLayer,
    "ligr": LiGRLayer,
    "bsarec": BSARecLayer,
    "wearec": WEARecLayer,
    "hstu": HSTULayer,
    "gru4rec": GRU4RecLayer,
}
"""name -> (dim, max_length, config) -> layer."""

OF_ALL = frozenset({"layer", "blocks", "dropout", "embedding_dropout", "init_std"})
"""Settings that every layer reads."""


@configclass(group="Model")
class LayerConfig(BlockConfig):
    """Which layers an encoder of histories has, and their arguments.

    Where one is None it becomes what the layer takes then. What the layer does not read is refused.

    Raises:
        ArgumentError: a value is not as described, or the layer does not read that argument.

    Example:
        >>> LayerConfig(layer="gru4rec").positions, LayerConfig().norm
        ('none', 'pre')
        >>> LayerConfig(layer="gru4rec", heads=2)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: heads: expected 1, as layer 'gru4rec' does not read it, got 2
    """

    layer: Annotated[str, OneOf(*LAYERS), Help("The kind of layer")] = "attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        reads = LAYERS[self.layer].options
        for name, option in LayerConfig.options().items():
            value = getattr(self, name)
            if name in self.auto and value == AUTO:
                continue
            if name in reads:
                taken = reads[name]
                if value is None:
                    setattr(self, name, taken[0] if isinstance(taken, tuple) else taken)
                elif isinstance(taken, tuple) and value not in taken:
                    expected = f"{' or '.join(map(repr, taken))}, as layer {self.layer!r} takes no other"
                    raise ArgumentError(name, expected, value)
            elif name not in OF_ALL and value != option.default:
                raise ArgumentError(name, f"{option.default!r}, as layer {self.layer!r} does not read it", value)

    @property
    def sees_later_items(self) -> str:
        """The argument by which the output at an item depends on those after it; "" where none does.

        Such layers learn from the output at the last item of a history alone: at others it would know too much.
        """
        if LAYERS[self.layer].looks_ahead:
            return f"layer={self.layer!r}"
        if self.causal_filter is False:
            return "causal_filter=False"
        return "positions='end'" if self.positions == "end" and "positions" not in self.auto else ""
