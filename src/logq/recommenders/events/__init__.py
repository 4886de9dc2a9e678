"""What recommenders read of a log: histories, targets, what is held out of training, what a fitted model remembers."""

__all__: list[str] = []
