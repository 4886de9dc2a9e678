"""LAYERS, the layers for histories by name, and LayerConfig, which chooses one and checks what it reads."""

from collections.abc import Mapping
from typing import Annotated, Any

from logq._arguments import ArgumentError
from logq.recommenders.layers.attention_layer import AttentionLayer
from logq.recommenders.layers.bsarec import BSARecLayer
from logq.recommenders.layers.fuxi_linear import FuXiLinearLayer
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
    "fuxi_linear": FuXiLinearLayer,
    "gru4rec": GRU4RecLayer,
}
"""name -> (dim, max_length, config) -> layer."""

CHOSEN_FROM = ("attention", "bsarec")
"""The layers that layer="auto" chooses from, which take the same values of what both read."""

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
        kinds = [LAYERS[layer] for layer in (CHOSEN_FROM if self.layer == AUTO else (self.layer,))]
        for name, option in LayerConfig.options().items():
            value = getattr(self, name)
            if name in self.auto and value == AUTO:
                continue
            if not all(name in kind.options for kind in kinds):
                if name in OF_ALL or value == option.default:
                    continue
                if self.layer == AUTO or "layer" not in self.auto:
                    raise ArgumentError(name, f"{option.default!r}, as layer {self.layer!r} does not read it", value)
                setattr(self, name, option.default)  # it is of the layer that an earlier fit chose
                continue
            taken = kinds[0].options[name]
            if value is None:
                if self.layer != AUTO:
                    setattr(self, name, taken[0] if isinstance(taken, tuple) else taken)
            elif isinstance(taken, tuple) and value not in taken:
                expected = f"{' or '.join(map(repr, taken))}, as layer {self.layer!r} takes no other"
                raise ArgumentError(name, expected, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor, as those of all estimators do; see Config.get_params.

        What the layer has by itself that a fit chose is None again, also in a model that was loaded.
        """
        asked = super().get_params(deep)
        if "layer" in self.auto and self.layer != AUTO:
            for name, taken in LAYERS[self.layer].options.items():
                own = taken[0] if isinstance(taken, tuple) else taken
                if self.options()[name].default is None and asked[name] == own:
                    asked[name] = None
        return asked

    @property
    def sees_later_items(self) -> str:
        """The argument by which the output at an item depends on those after it; "" where none does.

        Such layers learn from the output at the last item of a history alone: at others it would know too much.
        """
        if self.layer != AUTO and LAYERS[self.layer].looks_ahead:
            return f"layer={self.layer!r}"
        if self.causal_filter is False:
            return "causal_filter=False"
        return "positions='end'" if self.positions == "end" and "positions" not in self.auto else ""
