"""The one list of commands; `nox -l` shows it. Every session uses the environment that uv made from the workspace."""

import filecmp
import glob
import os
import shutil
import tempfile

import nox

os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.error_on_missing_interpreters = False

UV = os.environ.get("UV", "uv")  # set by `uv run`, also where the command itself is not on the path
LOCK = "requirements.lock"
NONE_SELECTED = 5  # pytest's code where the arguments leave none of one sort
CODE = ["core", "plugins", "tests", "docs", "noxfile.py"]


def _export(target: str, session: nox.Session) -> None:
    arguments = ["--quiet", "--no-emit-workspace", "--all-groups", "--no-header", "--format", "requirements-txt"]
    session.run(UV, "export", *arguments, "--output-file", target, external=True, silent=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that the committed lock file is what the manifests resolve to."""
    session.run("ruff", "check", *CODE, external=True)
    session.run("ruff", "format", "--check", *CODE, external=True)
    with tempfile.TemporaryDirectory() as folder:
        fresh = os.path.join(folder, LOCK)
        _export(fresh, session)
        if not filecmp.cmp(LOCK, fresh, shallow=False):
            session.error(f"{LOCK} is stale; run `nox -s lock` and commit it")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the hashed lock file anew."""
    _export(LOCK, session)


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly, in the sources and in the tests."""
    sources = ["core/src", *sorted(glob.glob("plugins/*/src"))]
    session.run(
        "mypy", "core/src", "tests", "plugins", "docs", "noxfile.py", external=True, env={"MYPYPATH": ":".join(sources)}
    )


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments go to pytest."""
    session.run("pytest", *session.posargs, external=True)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take long: two at a time, and then one by one what nothing may disturb."""
    for which, workers in (("slow and not alone", "2"), ("slow and alone", "0")):
        command = ["pytest", "-m", which, "-n", workers, "--timeout", "900", *session.posargs]
        session.run(*command, external=True, success_codes=[0, NONE_SELECTED])


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests with coverage of the kernel."""
    session.run("pytest", "--cov", "--cov-report=term-missing:skip-covered", *session.posargs, external=True)


@nox.session(python=["3.11", "3.12", "3.13"], venv_backend="uv", download_python="never")
def compatibility(session: nox.Session) -> None:
    """Run the test suite on every supported Python that is installed here."""
    session.run_install(UV, "sync", "--active", "--quiet", "--group", "test", external=True)
    session.run("pytest", *session.posargs)


@nox.session
def isolated(session: nox.Session) -> None:
    """Delete each plugin's directory in turn, in a copy, and see that everything else stays green."""
    session.run("python", "tests/architecture/removal.py", *session.posargs, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    shutil.rmtree("docs/_build", ignore_errors=True)
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks; each prints ratios against a peer or the raw primitive."""
    for name in sorted(os.listdir("tests/benchmarks")):
        if name.endswith(".py"):
            session.run("python", f"tests/benchmarks/{name}", *session.posargs, external=True)


@nox.session
def tuning(session: nox.Session) -> None:
    """Write the tables of the tuning guide for this machine into docs/_build/tuning.md; arguments go to the script."""
    session.run(
        "python", "tests/benchmarks/tuning.py", "--output", "docs/_build/tuning.md", *session.posargs, external=True
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist of every distribution into dist/."""
    session.run(UV, "build", "--all-packages", "--out-dir", "dist", external=True)
