"""How the command line looks: help, errors, reports, tables, and checks of where results go."""

__all__: list[str] = []
