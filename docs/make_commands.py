"""Writes docs/commands.md from the commands themselves: python docs/make_commands.py > docs/commands.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import click

from releaser import errors
from releaser.cli import main

HEAD = """\
# Commands

Made from the commands' own help by `docs/make_commands.py`: change the help, not this page.

The global options may stand before the command; `--yes` and `--output` after it as well.
"""
TAIL = """\
## JSON

With `--output json` a command prints one document to standard output and nothing else there; progress goes to
standard error. `plan` and `promote` print the plan with its gates and steps, `unchanged`, `blocked`,
`changed` and the record of the promotion; `status` prints `stages` and `notes`; `history` prints
`promotions`. An error is `{"error": ..., "hint": ..., "exit_code": ...}`. Times are ISO 8601 in UTC.
"""


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield every command with its help, groups before what they hold."""
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=100, **main.context_settings
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from walk(found, below, context)


def exit_codes() -> str:
    """Return the table of exit codes from the docstring that defines them."""
    rows = re.findall(r"(?m)^(\d+) +(.+)$", errors.__doc__ or "")
    return "## Exit codes\n\n| code | meaning |\n|---|---|\n" + "".join(
        f"| {code} | {meaning} |\n" for code, meaning in rows
    )


def make_page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in walk(main, "releaser")]
    return "\n".join([*parts, exit_codes(), TAIL])


if __name__ == "__main__":
    sys.stdout.write(make_page())
