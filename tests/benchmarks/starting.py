"""Starting a host with five plugins of five installed, and of 1,000; and the loading of one plugin.

    python tests/benchmarks/starting.py [--rounds 15] [--loads 300]

In every round each variant runs once, in turn; figures are minima over the rounds. `whole process` is an interpreter
that opens a host with five plugins and closes it, `open and close` the same within a process that has done so before,
with five plugins that were imported then. The index is warm.

The loading of one plugin is everything from its import to `active`, as the host itself measures it: a plugin that was
never imported, one after the other in hosts of five; the figures are the median, the 99th percentile and the worst.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time

from framework import Framework

STARTED = 5
CODE = """
import asyncio
from framework import Framework
async def main():
    async with Framework.from_config({"plugins": dict.fromkeys(%r)}) as host:
        assert all(host.plugins.record(name).state.value == "active" for name in %r), host.plugins.records()
asyncio.run(main())
"""
BODY = "from framework import Plugin\n\n\nclass Sample(Plugin):\n    async def initialize(self):\n        pass\n"


def install(root: str, label: str, plugins: int) -> tuple[str, list[str]]:
    """Return a folder with plugins, and their names."""
    site = os.path.join(root, label, "site-packages")
    names = [f"{label}x{number}" for number in range(plugins)]
    for name in names:
        package, metadata = (os.path.join(site, f"plugin_{name}{end}") for end in ("", "-1.0.dist-info"))
        os.makedirs(package)
        os.makedirs(metadata)
        files = {
            os.path.join(package, "__init__.py"): BODY,
            os.path.join(package, "plugin.toml"): f'schema = 1\napi = 1\nname = "{name}"\ntype = "provider"\n',
            os.path.join(metadata, "METADATA"): f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\n\n",
            os.path.join(metadata, "entry_points.txt"): f"[framework.plugins]\n{name} = plugin_{name}:Sample\n",
        }
        for path, text in files.items():
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return site, names


async def open_and_close(names: list[str]) -> dict[str, float]:
    """Return the seconds that the loading of each plugin took."""
    async with Framework.from_config({"plugins": dict.fromkeys(names)}) as host:
        return {name: sum(host.plugins.timings()[name].values()) for name in names}


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--loads", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"XDG_CACHE_HOME": os.path.join(root, "cache"), "XDG_STATE_HOME": os.path.join(root, "state")}
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling anew at every start is not what is measured
        sites = {f"{STARTED} of {size}": install(root, f"n{size}", size) for size in (STARTED, 1000)}
        for site, names in sites.values():
            _run(CODE % (names[:STARTED], names[:STARTED]), site)  # which writes bytecode into the folders
        time.sleep(2.1)  # until the folders are old enough for an index
        compare(sites, options.rounds)
        loads(*sites[f"{STARTED} of 1000"], options.loads)


def compare(sites: dict[str, tuple[str, list[str]]], rounds: int) -> None:
    """Print how long starts take."""
    whole = dict.fromkeys(sites, float("inf"))
    inside = dict.fromkeys(sites, float("inf"))
    bare = float("inf")
    for _ in range(rounds):
        bare = min(bare, _run("pass", ""))
        for label, (site, names) in sites.items():
            first = names[:STARTED]
            whole[label] = min(whole[label], _run(CODE % (first, first), site))
            sys.path.append(site)
            asyncio.run(open_and_close(first))
            start = time.perf_counter()
            asyncio.run(open_and_close(first))
            inside[label] = min(inside[label], time.perf_counter() - start)
            sys.path.remove(site)
    print(f"python -c pass {bare * 1000:.1f} ms")
    for what, best in (("whole process", whole), ("open and close", inside)):
        base = best[f"{STARTED} of {STARTED}"]
        for label, seconds in best.items():
            print(f"{what:16} {label:10} {seconds * 1000:8.1f} ms  {seconds / base:5.2f} x")


def loads(site: str, names: list[str], count: int) -> None:
    """Print how long the loading of one plugin takes."""
    sys.path.append(site)
    fresh = names[STARTED : STARTED + count]
    seconds = [
        each
        for number in range(0, len(fresh), STARTED)
        for each in asyncio.run(open_and_close(fresh[number : number + STARTED])).values()
    ]
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"loading one plugin, {len(seconds)} times: median {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms,"
        f" worst {max(seconds) * 1000:.2f} ms"
    )


def _run(code: str, site: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": site}, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
