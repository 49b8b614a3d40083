"""Discovery of 10 to 1,000 installed plugins, against importlib.metadata, stevedore and pluggy.

    python tests/benchmarks/discovery.py [--rounds 9] [--sizes 10,100,500,1000]

For each size an environment is made of so many distributions, each with one plugin and its manifest; `mix` is 20
plugins among 400 distributions. In every round each variant runs once, in turn; the figures are minima over the rounds.

- In process: `discover` means a call that reads a fitting index and looks at five plugins; `all` looks at every one and
  so compares every file with the disk; `one more` is the first call after another plugin was installed, which looks at
  it (within the two seconds in which its index is not written); `cold` has no index, and writes one. `stevedore` loads
  all of them as `ExtensionManager` does, after the first round from a warm cache, `named` only one; `pluggy` knows no
  other way than importing all.
- Whole process: `framework plugins list` with 100 plugins against an interpreter that does nothing, and one that
  imports click; `import framework`; and the peak resident set of a process that discovers 1,000, over a bare one.
"""

import argparse
import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import pluggy
from stevedore import ExtensionManager, NamedExtensionManager
from stevedore import _cache as stevedore_cache

from framework.discovery import GROUP, discover

AHEAD = 10_000_000_000
LOOKED_AT = 5


class Environment:
    """A folder with distributions, on the import path of this process while it is measured."""

    def __init__(self, root: str, name: str, plugins: int, others: int = 0) -> None:
        self.name = name
        self.plugins = plugins
        self.site = os.path.join(root, name, "site-packages")
        self.cache = os.path.join(root, name, "cache")
        for number in range(plugins):
            plant(self.site, f"{name}x{number}")
        for number in range(others):
            plant(self.site, f"{name}other{number}", plugin=False)
        self.path = [*sys.path, self.site]
        self.names = [f"{name}x{number}" for number in range(LOOKED_AT)]
        self.added = 0

    def variants(self) -> dict[str, Callable[[], object]]:
        """Return what is measured, by name."""
        return {
            "discover": self.warm,
            "all": self.all,
            "one more": self.one_more,
            "cold": self.cold,
            "importlib.metadata": self.standard,
            "stevedore": lambda: ExtensionManager(GROUP, invoke_on_load=False, on_load_failure_callback=_ignore),
            "stevedore named": lambda: NamedExtensionManager(GROUP, self.names[:1]),
            "pluggy": lambda: pluggy.PluginManager("framework").load_setuptools_entrypoints(GROUP),
        }

    def warm(self) -> object:
        """Read a fitting index and look at a few plugins."""
        found = discover(self.path, index=True, cache=self.cache, clock=ahead)
        return [found.manifests[name] for name in self.names]

    def all(self) -> object:
        """Read a fitting index and compare everything."""
        return dict(discover(self.path, index=True, cache=self.cache, clock=ahead).manifests)

    def one_more(self) -> object:
        """Look at a plugin that the index does not know."""
        return discover(self.path, index=True, cache=self.cache).manifests[f"{self.name}new{self.added}"]

    def cold(self) -> object:
        """Read everything, and write the index."""
        found = discover(self.path, index=True, cache=f"{self.cache}-cold", clock=ahead)
        return found.manifests[self.names[0]]

    def standard(self) -> object:
        """List the entry points."""
        return importlib.metadata.entry_points(group=GROUP)

    def prepare(self, variant: str) -> None:
        """Bring about what a variant needs, outside its measurement."""
        if variant == "one more":
            for folder in (f"plugin_{self.name}new{self.added}", f"plugin_{self.name}new{self.added}-1.0.dist-info"):
                shutil.rmtree(os.path.join(self.site, folder), ignore_errors=True)  # or there would be more than one
            self.added += 1
            plant(self.site, f"{self.name}new{self.added}")
        elif variant == "cold":
            shutil.rmtree(f"{self.cache}-cold", ignore_errors=True)
        elif variant == "discover":
            self.warm()
        elif variant == "pluggy":
            for name in [one for one in sys.modules if one.startswith("plugin_")]:
                del sys.modules[name]
        elif variant.startswith("stevedore"):
            fresh = stevedore_cache.Cache()  # as a process starts, without what an earlier call read
            stevedore_cache.get_group_all, stevedore_cache.get_group_named = fresh.get_group_all, fresh.get_group_named
            ExtensionManager.ENTRY_POINT_CACHE.clear()


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", default="10,100,500,1000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        os.environ["XDG_CACHE_HOME"] = os.path.join(root, "stevedore")
        for size in map(int, options.sizes.split(",")):
            measure(Environment(root, f"n{size}", size), options.rounds)
        measure(Environment(root, "mix", 20, 380), options.rounds)
        hundred = Environment(root, "list100", 100)
        thousand = Environment(root, "memory1000", 1000)
        processes(hundred, options.rounds)
        memory(thousand)


def measure(environment: Environment, rounds: int) -> None:
    """Print the minima of one environment."""
    variants = environment.variants()
    best = dict.fromkeys(variants, float("inf"))
    sys.path.append(environment.site)
    try:
        for _ in range(rounds):
            for name, variant in variants.items():
                environment.prepare(name)
                importlib.invalidate_caches()
                start = time.perf_counter()
                variant()
                best[name] = min(best[name], time.perf_counter() - start)
    finally:
        sys.path.remove(environment.site)
    print(f"\n{environment.name}: {environment.plugins} plugins, in process")
    for name, seconds in best.items():
        print(f"  {name:22} {seconds * 1000:9.3f} ms  {seconds / best['discover']:8.1f} x discover")


def processes(environment: Environment, rounds: int) -> None:
    """Print the minima of whole processes."""
    program = os.path.join(os.path.dirname(sys.executable), "framework")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import framework'": [sys.executable, "-c", "import framework"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "framework --version": [program, "--version"],
        "framework plugins list": [program, "plugins", "list"],
    }
    environ = {**os.environ, "PYTHONPATH": environment.site, "XDG_CACHE_HOME": environment.cache}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling anew at every start is not what is measured
    time.sleep(2.1)  # until the folders are old enough for an index
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(max(rounds, 3)):  # the first fills the caches and counts like the others: minima
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environ, cwd=environment.site, check=True, stdout=subprocess.DEVNULL)
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"\n{environment.plugins} plugins, whole process")
    for name, seconds in best.items():
        over = seconds - best["python -c pass"]
        ratio = seconds / best["python -c pass"]
        print(f"  {name:30} {seconds * 1000:7.1f} ms  {ratio:5.2f} x pass  +{over * 1000:.1f} ms")


def memory(environment: Environment) -> None:
    """Print the peak resident sets of processes."""
    environment.warm()
    use = "import time; from framework.discovery import discover; import sys; sys.path.append(%r); "
    call = (
        f"found = discover(sys.path, index=True, cache={environment.cache!r}, clock=lambda: time.time_ns() + {AHEAD}); "
    )
    five = f"five = [found.manifests[name] for name in {environment.names!r}]; "
    code = {
        "bare Python": "",
        "import framework": "import framework; ",
        "discover": use % environment.site + call,
        "discover, look at five": use % environment.site + call + five,
        "discover, look at all": use % environment.site + call + "list(found.manifests.values()); ",
        "importlib.metadata": f"import sys; sys.path.append({environment.site!r}); import importlib.metadata; "
        f"importlib.metadata.entry_points(group={GROUP!r}); ",
    }
    peak = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    for each in code.values():  # the first run writes what later ones read
        subprocess.run([sys.executable, "-c", each], check=True)
    print(f"\n{environment.plugins} plugins, peak resident set")
    base = 0.0
    for name, each in code.items():
        runs = [subprocess.run([sys.executable, "-c", each + peak], check=True, capture_output=True) for _ in range(5)]
        megabytes = min(int(done.stdout) for done in runs) / 1024
        base = base or megabytes
        print(f"  {name:22} {megabytes:6.2f} MB  +{megabytes - base:.2f} MB")


def plant(site: str, name: str, *, plugin: bool = True) -> None:
    """Install a distribution."""
    package = os.path.join(site, f"plugin_{name}")
    metadata = os.path.join(site, f"plugin_{name}-1.0.dist-info")
    os.makedirs(package)
    os.makedirs(metadata)
    group = GROUP if plugin else "console_scripts"
    manifest = (
        f'schema = 1\napi = 1\nname = "{name}"\ntype = "provider"\n[provides]\nkinds = ["{name}.a", "{name}.b"]\n'
    )
    files = {
        os.path.join(package, "__init__.py"): "class Plugin:\n    pass\n",
        os.path.join(package, "plugin.toml"): manifest,
        os.path.join(metadata, "METADATA"): f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\nSummary: x\n\n",
        os.path.join(metadata, "entry_points.txt"): f"[{group}]\n{name} = plugin_{name}:Plugin\n",
    }
    for path, text in files.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def ahead() -> int:
    """Return a time at which everything on the disk has been as it is for ten seconds."""
    return time.time_ns() + AHEAD


def _ignore(*_: object) -> None:
    """Take no notice of what cannot be loaded."""


if __name__ == "__main__":
    main()
