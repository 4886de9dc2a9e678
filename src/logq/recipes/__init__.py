"""Named set-ups, one TOML a recipe."""

__all__: list[str] = []
