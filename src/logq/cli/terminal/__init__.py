"""How the command line looks: help, errors, reports, tables, and the places that results go to."""

__all__: list[str] = []
