"""The author kit notices: for each rule there is a plugin in violations.py that breaks it, and the test that fails."""

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.testing import CollectorContract, ParticipantContract, PluginContract, ProviderContract, StrategyContract

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
VIOLATIONS = os.path.join(HERE, "violations.py")
SUITES = (CollectorContract, ParticipantContract, PluginContract, ProviderContract, StrategyContract)

HEAD = "from framework import Plugin, Resource, ResourceProvider, creates, hookimpl\n\n\n"
SAMPLE = f"{HEAD}class Sample(Plugin):\n    pass\n"
LENDING = """
class Thing(Resource):
    async def _close(self):
        pass


class Provider(ResourceProvider):
    @creates("{name}.thing")
    async def create_thing(self, name: str) -> Thing:
        {action}
        return Thing()


class Sample(Plugin):
    @hookimpl
    def register_resource_providers(self):
        return [Provider()]
"""
SETTINGS = "from pydantic import BaseModel\n\n\nclass Model(BaseModel, extra='forbid'):\n    colour: str = 'red'\n"
SERVICE = "    @hookimpl\n    def register_services(self):\n        return {'unpromised': 1}\n"

IMPORTS = {
    "slow": "import time\ntime.sleep(0.4)",
    "heavy": "import unittest",
    "effect_thread": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "effect_path": "import sys\nsys.path.append('/surely/unknown')",
    "effect_signal": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "effect_environment": "import os\nos.environ['EFFECT'] = '1'",
    "effect_directory": "import os\nos.chdir('/')",
    "effect_print": "print('hello')",
    "effect_program": "import subprocess\nsubprocess.run(['true'])",
}
ACTIONS = {
    "honest": "open('{outside}', 'w').close()",
    "does_file": "open('{outside}', 'w').close()",
    "does_program": "import subprocess; subprocess.run(['true'])",
    "does_connection": "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9)); s.close()",
    "does_environment": "import os; os.environ['EFFECT'] = '1'",
}

pytestmark = pytest.mark.timeout(600)  # dozens of tests and of processes in each test, also on a busy machine


def expected() -> dict[str, str]:
    """Return the name of the test that must fail by the class in violations.py."""
    with open(VIOLATIONS, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {
        one.name: ast.literal_eval(node.value)
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for node in one.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "caught_by"
    }


@pytest.fixture
def site(tmp_path: Path, install: Callable[..., Path]) -> Path:
    """A folder with an installed plugin for each violation that needs one."""
    site = tmp_path / "site-packages"
    site.mkdir()

    def typed(name: str, code: str, **options: str) -> None:
        install(site, name, code, **options)
        (site / f"plugin_{name}" / "py.typed").touch()

    install(site, "untyped", SAMPLE)
    typed(
        "undescribed",
        f"{HEAD}{SETTINGS}\n\nclass Sample(Plugin):\n    pass\n",
        extra='settings = "plugin_undescribed:Model"',
    )
    typed("boastful", SAMPLE, extra='[provides]\nkinds = ["boastful.thing"]')
    typed("generous", f"{SAMPLE}\n{SERVICE}")
    typed("claims", SAMPLE, extra='[[permissions]]\nname = "everything"\nreason = "why not"')
    typed("eager", SAMPLE)
    (site / "sitecustomize.py").write_text("import sys\nif sys.orig_argv[1:2] == ['-c']:\n    import plugin_eager\n")
    for name, code in IMPORTS.items():
        typed(name, f"{code}\n{SAMPLE}")
    outside = os.path.join(os.path.expanduser("~"), f".framework-kit-{os.getpid()}")
    for name, action in ACTIONS.items():
        extra = f'[provides]\nkinds = ["{name}.thing"]\n'
        if name == "honest":
            extra += '[[permissions]]\nname = "files"\nreason = "writes one"\n'
        code = LENDING.format(name=name, action=action.format(outside=outside))
        typed(name, f"{HEAD}{code}", extra=extra)
    return site


def run(site: Path, report: Path, *nodes: str) -> dict[tuple[str, str], str]:
    """Run tests in a process of its own; return what became of each by class and name."""
    arguments = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-m",
        "slow or not slow",
        "-p",
        "no:cacheprovider",
        "-c",
        os.path.join(ROOT, "pyproject.toml"),
    ]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*arguments, f"--junitxml={report}", *(f"{VIOLATIONS}{node}" for node in nodes)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert report.exists(), done.stdout + done.stderr
    found: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((one.tag for one in case if one.tag in {"failure", "error", "skipped"}), "passed")
        test = case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0]
        found[test] = outcome if found.get(test, "passed") == "passed" else found[test]  # the worst of all parameters
    return found


def test_each_violation_is_caught_by_the_test_that_is_there_for_it(site: Path, tmp_path: Path) -> None:
    wanted = expected()

    outcomes = run(site, tmp_path / "report.xml", *(f"::{one}::{test}" for one, test in wanted.items()))

    assert {one: outcomes.get((one, test)) for one, test in wanted.items()} == dict.fromkeys(wanted, "failure")


def test_those_that_break_nothing_pass(site: Path, tmp_path: Path) -> None:
    good = [
        "TestHonest",
        "TestGoodProvider",
        "TestGoodPapers",
        "TestGoodReclaim",
        "TestGoodParticipant",
        "TestGoodCollector",
        "TestGoodStrategy",
        "TestGoodBag",
        "TestGoodPlugin",
    ]

    outcomes = run(site, tmp_path / "report.xml", *(f"::{one}" for one in good))

    assert {one for one, _ in outcomes} == set(good)
    assert {case: outcome for case, outcome in outcomes.items() if outcome not in {"passed", "skipped"}} == {}


def test_every_rule_of_the_kit_has_a_violation() -> None:
    rules = {name for suite in SUITES for name in dir(suite) if name.startswith("test_")}

    assert rules == set(expected().values())
