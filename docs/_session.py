"""The picture of a terminal session on the start page: commands that are really run, in a folder made for them.

What differs from run to run is masked: where the folder is, and how long something took. The picture carries no font
and refers to nothing, brings its own background, so that it is readable on a light and on a dark page, and has what it
shows as its description.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from xml.sax.saxutils import escape

NEEDED = frozenset({"executors", "file", "pool", "strategies", "survey"})
"""The plugins that the session uses."""

COLUMNS = 92

COMMANDS = (
    "cat framework.yaml",
    "framework plugins list | cut -c1-42",
    "framework survey notes --quiet",
    "framework why 2*executor:web_search=8",
    "framework pool explain executor:web_search=9,code_generation=5",
)

FILES = {
    "framework.yaml": """\
plugins:
  executors:
  file:
  survey:
  strategies:
  pool:
    strategy: round_robin
    resources:
      - {id: ada, type: executor, capabilities: {web_search: 8, code_generation: 9}}
      - {id: bob, type: executor, capabilities: {web_search: 10, data_analysis: 9}}
""",
    "notes/beach.txt": "waves\n" * 500,
    "notes/copy of beach.txt": "waves\n" * 500,
    "notes/hill.txt": "grass\n" * 400,
}

PROMPT = "$ "
HOME = "/home/you"

# As rich writes it, but without the fonts that would be fetched from elsewhere, and with a description.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A terminal session</title>
<desc>DESCRIPTION</desc>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def transcript() -> str:
    """Run the commands, and return what a reader would see."""
    with tempfile.TemporaryDirectory() as made:
        folder = os.path.realpath(made)
        for name, text in FILES.items():
            file = os.path.join(folder, name)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
        return "\n".join(f"{PROMPT}{one}\n{_masked(_printed(one, folder), folder)}" for one in COMMANDS)


def picture(text: str) -> str:
    """Return an SVG of a transcript."""
    import io

    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in text.splitlines():
        console.print(Text(line, style="bold #7ee787" if line.startswith(PROMPT) else "", overflow="fold"))
    console.print()  # room below the last line, which is cut off otherwise
    form = SVG.replace("DESCRIPTION", escape(text).replace("{", "{{").replace("}", "}}"))
    drawn = console.export_svg(title="framework", code_format=form, unique_id="session")
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


def _printed(command: str, folder: str) -> str:
    places = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    environment = {"PATH": os.pathsep.join(places), "HOME": folder, "LC_ALL": "C.UTF-8", "COLUMNS": str(COLUMNS)}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 3, 4}:  # 3 and 4 are answers: not now, and never
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def _masked(text: str, folder: str) -> str:
    plain = text.replace(folder, HOME)
    plain = re.sub(r"^(time +).*$", r"\1…", plain, flags=re.MULTILINE)
    return "".join(f"{line.rstrip()}\n" for line in plain.splitlines())
