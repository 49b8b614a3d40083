"""`Draft`: the file in which a catalogue is brought up to date, until it takes the place of the published one.

It lies beside the published catalogue, as `NAME.part`. It begins as a copy of that; one that an interrupted or killed
survey left behind is gone on with. Whoever has it open has locked it, so that two surveys never write into one.
"""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

from framework.errors import FrameworkError, InvalidRequestError, ResourceUnavailableError
from plugin_survey.cataloguing.former import check_replaceable, head_of, is_catalogue
from plugin_survey.cataloguing.schema import SCHEMA_VERSION
from plugin_survey.shown import named

SUFFIX = ".part"
HEAD = 100
"""Bytes of the beginning by which a catalogue is known."""
PORTION = 1 << 20
"""Bytes that are copied at once."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Draft:
    """The working file of one survey; to be ended by `publish`, `keep` or `discard`.

    Args:
        target: Where the catalogue will be published.
        say: Tells the user what was set aside, and what is gone on with.

    Raises:
        InvalidRequestError: The catalogue, or an unfinished one, was written by a later version, or something else has
            the name of an unfinished one.
        ResourceUnavailableError: The file cannot be written, or another survey writes it.
    """

    def __init__(self, target: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.target = target
        self.path = target + SUFFIX
        self._say = say
        check_version(target)
        _check_ours(self.path)
        self._descriptor = self._locked()
        self._open = True
        try:
            self._fill()
        except BaseException:
            self.discard()
            raise

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of all files that it consists of while it is written."""
        return self.path, self.path + "-journal"

    def publish(self) -> None:
        """Put it in the place of the published catalogue, atomically and durably; it must be closed.

        Raises:
            ResourceUnavailableError: The system refuses.
        """
        try:
            os.fsync(self._descriptor)
            os.replace(self.path, self.target)
            folder = os.open(os.path.dirname(self.target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unwritable(self.target, error) from error
        self._close()

    def renew(self) -> None:
        """Begin again with an empty one, because what it went on with turned out to be damaged; it must be closed.

        Raises:
            ResourceUnavailableError: A second name cannot be given to the damaged catalogue.
        """
        self._remove(self.path + "-journal")
        os.ftruncate(self._descriptor, 0)
        if os.path.exists(self.target) and os.path.getsize(self.target):
            self._set_aside("damaged")

    def keep(self) -> bool:
        """Leave it for the next survey to go on with; False when there was nothing to keep."""
        if not self._open or not os.fstat(self._descriptor).st_size:
            self.discard()
            return False
        self._close()
        return True

    def discard(self) -> None:
        """Remove it, unless it was published."""
        if self._open:
            for path in self.files:
                self._remove(path)
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def _locked(self) -> int:
        while True:
            try:
                descriptor = os.open(self.path, _FLAGS, 0o600)
            except OSError as error:
                raise _unwritable(self.path, error) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # whoever had it until now may have published or removed it
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise ResourceUnavailableError(
                    f"The catalogue {self.target} is being written by another survey.",
                    "Wait until that ends, or choose another place with --catalogue.",
                    resource=self.target,
                ) from None
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _fill(self) -> None:
        if any(head_of(self.path, HEAD, "catalogue")):
            if _sound(self.path):
                self._say(f"going on with what an unfinished survey left in {named(self.path)}")
                return
            if os.fstat(self._descriptor).st_size:  # nothing is left of one that nothing was committed to
                self._say(f"the unfinished catalogue {named(self.path)} is damaged, and not gone on with")
        self._empty()  # also of a copy that was not completed
        if not os.path.exists(self.target) or not os.path.getsize(self.target):
            return
        version = _version(self.target)
        if version != SCHEMA_VERSION or not self._copy() or not _sound(self.path):
            self._empty()
            self._set_aside("damaged" if version == SCHEMA_VERSION else f"version-{version}")

    def _empty(self) -> None:
        self._remove(self.path + "-journal")
        os.ftruncate(self._descriptor, 0)

    def _copy(self) -> bool:
        """Copy the published catalogue; False when it cannot be read.

        The beginning is copied last, so that a copy that was cut short is known by having none.
        """
        try:
            with closing(sqlite3.connect(_address(self.target, "ro"), uri=True, isolation_level=None)) as former:
                former.execute("BEGIN")
                former.execute("PRAGMA user_version").fetchone()  # from now on nobody can write it
                with open(self.target, "rb", buffering=0) as source:
                    head = source.read(HEAD)
                    self._put(source, HEAD)
                    self._write(head, 0)
        except (sqlite3.Error, OSError):
            return False
        return True

    def _put(self, source: io.FileIO, place: int) -> None:
        while data := source.read(PORTION):
            self._write(data, place)
            place += len(data)

    def _write(self, data: bytes, place: int) -> None:
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self._descriptor, view, place)
                view, place = view[count:], place + count
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _set_aside(self, why: str) -> None:
        """Give a second name, which stays, to a catalogue that cannot be gone on with."""
        for number in itertools.count(1):
            aside = f"{self.target}.{why}" if number == 1 else f"{self.target}.{why}.{number}"
            try:
                os.link(self.target, aside)
            except FileExistsError:
                if os.path.samefile(self.target, aside):
                    return
            except OSError as error:
                raise _unwritable(aside, error) from error
            else:
                self._say(f"the former catalogue cannot be gone on with ({why}): it is kept as {named(aside)}")
                return

    @staticmethod
    def _remove(path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)


@contextmanager
def drafted(target: str, say: Callable[[str], None]) -> Iterator[Draft]:
    """Give a draft; unless it was published, keep it when the survey is interrupted, and discard it when it fails."""
    draft = Draft(target, say)
    try:
        yield draft
    except FrameworkError:
        draft.discard()
        raise
    except BaseException:
        if draft.keep():
            say(f"interrupted; what was done is in {named(draft.path)}, and the same command goes on with it")
        raise


def check_version(path: str) -> None:
    """Refuse to touch a catalogue that a later version of this program wrote.

    Raises:
        InvalidRequestError: It is one.
    """
    version = _version(path)
    if version > SCHEMA_VERSION:
        raise InvalidRequestError(
            f"The catalogue {path} has version {version}; this program knows versions up to {SCHEMA_VERSION}.",
            "Use the program that wrote it, or choose another place with --catalogue.",
        )


def _check_ours(path: str) -> None:
    """Refuse to take for an unfinished catalogue what no survey has left there.

    Raises:
        InvalidRequestError: It is something else, or was written by a later version.
    """
    # of a copy that was cut short, or of a disk that crashed, the beginning may be missing
    if any(head_of(path, HEAD, "catalogue")):
        check_replaceable(path)
        check_version(path)


def _version(path: str) -> int:
    """Return the version of a catalogue, 0 where there is none."""
    head = head_of(path, HEAD, "catalogue")
    return int.from_bytes(head[60:64], "big") if is_catalogue(head) and len(head) == HEAD else 0


def _sound(path: str) -> bool:
    """Undo what a killed survey had not committed, and return whether a catalogue of this version can be read."""
    try:
        with closing(sqlite3.connect(_address(path, "rw"), uri=True, isolation_level=None)) as database:
            right = database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
            return bool(right and database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _address(path: str, mode: str) -> str:
    return f"file:{quote(os.fsencode(path))}?mode={mode}"


def _unwritable(path: str, error: Exception) -> ResourceUnavailableError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ResourceUnavailableError(
        f"The catalogue {path} cannot be written: {reason}.",
        "Make room, or choose another place with --catalogue; what was there before is untouched.",
        resource=path,
    )
