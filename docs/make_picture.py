"""Turns what a terminal showed into an SVG without fonts from elsewhere.

script -qec 'releaser promote --to production' promotion.log
python docs/make_picture.py promotion.log docs/images/promotion.svg 'releaser promote --to production'
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 112
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def make_svg(recorded: str, command: str) -> str:
    """Return the picture of a recorded session: the prompt with the command, then its output."""
    lines = [line.rsplit("\r", 1)[-1] for line in recorded.replace("\r\n", "\n").split("\n")]
    shown = [line for line in lines if not line.startswith("Script ")]
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi("\n".join(shown).rstrip()))
    svg = console.export_svg(title=command, unique_id="promotion")
    return FONT_FACE.sub("", svg).replace("Fira Code", "ui-monospace, 'DejaVu Sans Mono'")


if __name__ == "__main__":
    source, target, typed = sys.argv[1:4]
    Path(target).write_text(make_svg(Path(source).read_text(), typed) + "\n")
