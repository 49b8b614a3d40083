"""The `framework` command: the kernel's own nouns, and whatever commands plugins add.

Exit codes: 0 ok, 1 tasks failed, 2 usage or configuration, 3 resources missing for now, 4 missing for good, 5 limit or
out of memory, 6 plugin fault, 7 refused by policy, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence

import click

from framework import __version__
from framework.cli.groups import RootGroup, context_of
from framework.cli.output import LINE_BREAK, visible
from framework.errors import FrameworkError

INTERRUPTED = 130
FAILED = 1


@click.group(
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Acquire, observe, limit and give back everything scarce that an application uses.",
)
@click.version_option(__version__, prog_name="framework")
@click.option("--config", metavar="FILE", help="Configuration file; default: FRAMEWORK_CONFIG, or framework.yaml here.")
@click.option(
    "--set", "flags", metavar="KEY=VALUE", multiple=True, help="Override one setting, as plugins.file.roots=[/x]."
)
@click.option("--safe-mode", is_flag=True, help="Start plugins of the first-party set only.")
@click.option("--locked", is_flag=True, help="Start only plugins that are as framework.lock says.")
@click.pass_context
def root(ctx: click.Context, /, **_options: object) -> None:
    """Remember how the command line wants to be configured; nothing is read before a command needs it."""
    context_of(ctx)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to stop
    code = run(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: a second Ctrl-C must not turn the exit into a death
    try:
        if sys.stdout is not None:  # None when it was closed before we were started
            sys.stdout.flush()
    except OSError as error:
        code = _no_output(error)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result = root.main(args=arguments, prog_name="framework", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("framework: interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and not _from_echo(error):
            raise
        return _no_output(error)
    except (FrameworkError, ExceptionGroup) as error:
        errors = list(_leaves(error))
        if not all(isinstance(one, FrameworkError) for one in errors):
            raise
        for one in errors:
            click.echo(f"framework: error: {visible(str(one), keep=LINE_BREAK)}", err=True)
        return max(one.exit_code for one in errors if isinstance(one, FrameworkError))
    return result if isinstance(result, int) else 0


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _from_echo(error: OSError) -> bool:
    """Return whether an error comes from printing, and not from what a command does."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and place.tb_frame.f_code is click.echo.__code__


def _no_output(error: OSError) -> int:
    """Let the interpreter flush into nowhere at exit; say why, unless the reader has just gone, as `head` does."""
    if not isinstance(error, BrokenPipeError):
        click.echo(f"framework: error: The output cannot be written: {error.strerror}. Send it elsewhere.", err=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
