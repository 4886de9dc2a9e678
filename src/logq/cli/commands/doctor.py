"""`logq doctor`: what is installed, what runs, and what is in the way."""

from typing import TYPE_CHECKING

import typer

from logq._project import page
from logq.cli.command_options import JsonOutput
from logq.cli.terminal.report import say

if TYPE_CHECKING:
    from logq.doctor import Examination
    from logq.doctor.extra_uses import Extra

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = """
logq doctor
logq doctor --json - > doctor.json
"""


def doctor(as_json: JsonOutput = None) -> None:
    """Report what is installed, which kernels run, what is missing and for what, and what needs to be fixed.

    Small models are trained to see that everything works. The exit code is 0 if all that a plain user needs works, else
    1. Include the output in bug reports; it shows no tokens.
    """
    from logq.cli.terminal.output import write_json
    from logq.doctor import examine

    say(("Looking at what is installed, and trying it, which takes some seconds ...", "dim"))
    found = examine()
    if as_json is not None:
        write_json(as_json, found.as_dict())
    _say(found)
    if not found.works:
        raise typer.Exit(1)


def _say(found: "Examination") -> None:
    for title, facts in (("Installed", found.installed), ("Kernels", found.kernels)):
        _section(title, [(fact.name, fact.value, "") for fact in facts])
    _section(
        "Tried", [(trial.name, trial.error or "works", "red" if trial.error else "green") for trial in found.trials]
    )
    _section("Extras", [_extra(extra) for extra in found.extras])
    _section("Environment", [(f"{one.name}={one.value}", one.meaning, "") for one in found.variables])
    for trouble in found.troubles:
        say()
        say(
            (trouble.level.capitalize(), "bold red" if trouble.level == "error" else "bold yellow"), f": {trouble.what}"
        )
        say(f"  {trouble.remedy}")
    say()
    if found.works:
        say(("All that a plain user needs works.", "green"))
    else:
        say(("Something that a plain user needs does not work.", "bold red"), f" {page('docs/troubleshooting.md')}")


def _extra(extra: "Extra") -> tuple[str, str, str]:
    """A row of the section of extras: what each is for, and how to install what is not there."""
    uses = "; ".join(extra.uses)
    if not extra.missing:
        return extra.name, f"installed  {uses}", ""
    return extra.name, f"missing    {uses}: {extra.install}", "dim"


def _section(title: str, rows: list[tuple[str, str, str]]) -> None:
    if not rows:
        return
    say()
    say((title, "bold"))
    width = max(len(name) for name, _, _ in rows)
    for name, value, style in rows:
        say("  ", (name.ljust(width), "cyan"), "  ", (value, style))
