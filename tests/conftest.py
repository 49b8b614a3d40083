"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = "from framework import Plugin\n\n\nclass Sample(Plugin):\n    pass\n"


@pytest.fixture
def install() -> Callable[..., Path]:
    """A function that installs a plugin distribution into a folder, as an installer would."""

    def install(
        site: Path,
        name: str,
        code: str | bytes = PACKAGE,
        *,
        distribution: str = "",
        manifest: str | bytes | None = "",
        extra: str = "",
        entry_points: str | bytes | None = None,
        metadata: str | bytes | None = "Summary: A sample.\nAuthor: Somebody\n",
        version: str = "1.0",
    ) -> Path:
        """Write package and metadata; an empty `manifest` stands for a good one, to which `extra` is added."""
        distribution = distribution or f"plugin-{name}"
        package = site / f"plugin_{name}"
        package.mkdir(parents=True, exist_ok=True)
        _write(package / "__init__.py", code)
        if manifest is not None:
            good = f'schema = 1\napi = 1\nname = "{name}"\ntype = "provider"\n{extra}\n'
            _write(package / "plugin.toml", manifest or good)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if entry_points is None:
            entry_points = f"[framework.plugins]\n{name} = plugin_{name}:Sample\n"
        _write(info / "entry_points.txt", entry_points)
        if isinstance(metadata, str):
            metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{metadata}".encode()
        if metadata is not None:
            (info / "METADATA").write_bytes(metadata)
        return info

    return install


def _write(file: Path, content: str | bytes) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
