"""From codes to vectors: tables of users, items and values of features, and what encoders share."""

__all__: list[str] = []
