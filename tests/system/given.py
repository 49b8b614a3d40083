"""What the pages of the documentation take for granted, and which of their examples are not run, with the reason."""

PREPARED = {
    "core/README.md": "echo 'plugins: {file: {}}' > framework.yaml",
    "docs/index.md": "echo 'plugins: {file: {}}' > framework.yaml",
    "docs/explanation/architecture.md": "echo 'plugins: {memory: {}}' > framework.yaml",
    "docs/how-to/install.md": "framework plugins new card",
    "plugins/file/README.md": "mkdir reports",
}
"""What was done in the folder before somebody follows a page in it: lines for a shell."""

HOST = """
from framework import Framework

fw = await given.enter_async_context(Framework.from_config())
"""

GIVEN = {
    "docs/index.md": "from framework import Framework",
    "docs/explanation/architecture.md": "from framework import Framework",
    "plugins/executors/README.md": f"""{HOST}
import asyncio, zlib
from json import loads as parse

loop = asyncio.get_running_loop()
fetch, url, pages = str.upper, "address", ["1", "2"]
""",
    "plugins/file/README.md": f"{HOST}\nfrom os import listdir as unpack_into",
    "plugins/memory/README.md": f"{HOST}\nbody, rows, store = b'page', range(1000), sum",
    "plugins/network/README.md": HOST,
    "plugins/pressure/README.md": "from framework import Framework\n\ndrop_thumbnails = lambda aggressive, reason: 0",
    "plugins/process/README.md": f"{HOST}\ntidy_up = print",
}
"""The Python that stands above the examples of a page: names that they use and do not define."""

NEEDED = {
    "core/README.md": {"file"},
    "docs/index.md": {"file"},
    "docs/explanation/architecture.md": {"memory"},
    "docs/how-to/install.md": {"executors", "file"},  # without them others are blocked, and the list ends with 6
}
"""The plugins that a page without front matter needs; a plugin's own page needs that plugin besides."""

ELSEWHERE = {
    ("README.md", "python"): "tests/system/test_readme.py",
    ("docs/explanation/resolution.md", "console"): "tests/system/test_cli_plugins_resolution.py",
    ("docs/how-to/use-a-survey.md", "console"): "plugins/survey/tests/use/test_guide.py",
}
"""Examples that another test runs, by page and language; the test reads them from the page."""

INDEX = "it fetches packages from an index"
LEFT_OUT = {
    "CONTRIBUTING.md": {"uv sync --all-packages": INDEX, "uv run nox": "it runs these very tests"},
    "README.md": {
        "python3 -m pip install uv && python3 -m uv run framework survey .": INDEX,
        "python3 -m venv ~/.venvs/uv && ~/.venvs/uv/bin/pip install uv && "
        "~/.venvs/uv/bin/uv run framework survey .": INDEX,
        "pipx run uv run framework survey .": INDEX,
        "python3 -m pip install uv && python3 -m uv run nox": INDEX,
    },
    "docs/how-to/complete-in-your-shell.md": {
        "source <(framework completion zsh)": "not every machine has zsh; tests/system/test_cli.py reads the script",
    },
    "docs/how-to/install.md": {
        "uv pip install ../framework/core ../framework/plugins/pool": INDEX,
        "pip download --dest dist --find-links dist resource-framework": INDEX,
        "pip install --no-index --find-links dist resource-framework": "it needs the wheels of the line before",
    },
    "plugins/survey/README.md": {
        "framework survey ~/Pictures /mnt/backup --exclude '*.tmp'": "the figures are of 50,000 files of one machine",
    },
}
"""Commands, and blocks by their first line, that nothing runs, with the reason."""
