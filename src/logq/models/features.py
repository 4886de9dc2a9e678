"""Side information: tables of the values of features, and which values items have."""

from collections.abc import Mapping

from torch import Tensor, nn

from logq.arguments import check_int
from logq.models.tables import Table, column

__all__ = ["FeatureTables", "ItemCodes", "check_features"]


class FeatureTables(nn.Module):
    """A table for each feature, and one vector a feature for each row of a batch.

    Args:
        sizes: how many values a feature has, by its name; 0 is the value of what is unknown.
        dim: width of the vector of one feature.
        prefix: what stands before the name in a batch, such as "user."; the names of a batch are `prefix + name`.

    Example:
        >>> features = FeatureTables({"age": 7, "genres": 20}, 4, prefix="user.")
        >>> batch = {"user.age": torch.tensor([1, 0]), "user.genres": torch.tensor([[3, 5], [2, -1]])}
        >>> [vectors.shape for vectors in features(batch, 2)]
        [torch.Size([2, 4]), torch.Size([2, 4])]
    """

    def __init__(self, sizes: Mapping[str, int], dim: int, *, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix
        self.sizes = check_features(f"{prefix}features", sizes)
        self.tables = nn.ModuleList(Table(size, dim, std=dim**-0.5) for size in self.sizes.values())
        self.width = len(self.sizes) * dim

    def forward(self, batch: Mapping[str, Tensor], rows: int) -> list[Tensor]:
        """One (B, dim) for each feature: of its value, or the mean of its values where it has several (B, W)."""
        found: list[Tensor] = []
        for (name, size), table in zip(self.sizes.items(), self.tables, strict=True):
            codes = column(batch, self.prefix + name, size)
            if codes.shape[0] != rows or codes.dim() not in (1, 2):
                raise ValueError(
                    f"{self.prefix}{name}: expected shape (B,) or (B, W) with B = {rows}, got {tuple(codes.shape)}"
                )
            assert isinstance(table, Table)
            found.append(table(codes.clamp(min=0)) if codes.dim() == 1 else table.mean(codes))
        return found


class ItemCodes(nn.Module):
    """The values of the features of all items, which move and are saved with a model.

    Args:
        num_items: C.
        sizes: how many values a feature has, by its name.
        codes: the values (C,) or (C, W) int64 of each, -1 where an item has fewer.

    Raises:
        KeyError: a feature has no codes.
        TypeError, ValueError: codes are not int64, out of range, or not those of C items.

    Example:
        >>> codes = ItemCodes(3, {"genre": 5}, {"genre": torch.tensor([4, 0, 2])})
        >>> codes.of(torch.tensor([2, 0]))
        {'genre': tensor([2, 4])}
    """

    def __init__(self, num_items: int, sizes: Mapping[str, int], codes: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = list(sizes)
        surplus = [name for name in codes if name not in sizes]
        if surplus:
            raise ValueError(f"item_codes: expected the names of item_features, got {surplus[0]!r}")
        for place, (name, size) in enumerate(sizes.items()):
            values = column(codes, name, size)
            if values.dim() not in (1, 2) or len(values) != num_items:
                raise ValueError(
                    f"item_codes[{name!r}]: expected shape (C,) or (C, W) with C = {num_items}, "
                    f"got {tuple(values.shape)}"
                )
            self.register_buffer(f"codes_{place}", values.clone())

    def of(self, ids: Tensor) -> dict[str, Tensor]:
        """The values (n,) or (n, W) of some items, by feature."""
        return {name: getattr(self, f"codes_{place}")[ids] for place, name in enumerate(self.names)}


def check_features(name: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the number of values of each feature, as a dict of its own.

    Raises:
        TypeError: it is no mapping, or a number no whole number.
        ValueError: a number is below 1.

    Example:
        >>> check_features("user_features", {"age": 7})
        {'age': 7}
    """
    if not isinstance(sizes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: expected a mapping of names to numbers of values, got {type(sizes).__name__}")
    return {str(key): check_int(f"{name}[{key!r}]", size) for key, size in sizes.items()}
