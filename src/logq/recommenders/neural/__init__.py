"""What neural recommenders share: their arguments, their loss, their training task, going on, and export."""

__all__: list[str] = []
