"""`Overview`: everything that a report of a survey says, whichever its format.

Frozen records without behaviour, so that whoever gathers the facts and whoever shows them need not know each other.
Lists that may be of any length are collections, which one can only count and go through: they may not be in memory.
What was not looked at is empty or None, and is left out of a report that is made for people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from plugin_survey.duplicates import DuplicateGroup

Setting = str | int | float | bool | None | Sequence[str]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums: `names` fingerprinted, the `files` that they are (hard links counted once), their `bytes`, `folders`."""

    names: int = 0
    files: int = 0
    bytes: int = 0
    folders: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the survey: seconds spent in it, summed over workers; files and bytes where it counts them."""

    name: str
    seconds: float
    files: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TypeCount:
    """Files of one type, as their content says: how many, their bytes, and how many of them are damaged."""

    name: str
    files: int
    bytes: int
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class SizeCount:
    """Files from `least` bytes on, up to the next bucket's `least`."""

    least: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FileFact:
    """One file: bytes, and when it was last modified, in seconds since the epoch."""

    path: bytes
    size: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class NearGroup:
    """Files of similar text; `similarity` is that of the file least similar to the first one, 0 to 1."""

    similarity: float
    paths: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A file or folder that a stage could not work on; `reason` is a word, `detail` is for people.

    `folder` is true where everything below it is missing too.
    """

    path: bytes
    stage: str
    reason: str
    detail: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what its type promises: truncated, corrupt, or with a wrong checksum."""

    path: bytes
    type: str
    cause: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The survey at one moment: seconds since its start, and what could be measured then.

    Rates are those since the sample before. `resident_bytes` is the memory of all its processes, `budget_bytes` what
    they may use, `batch` the files handed to a worker at once, `bytes_per_item` the memory one file is taken to need.
    """

    seconds: float
    stage: str
    files_per_s: float
    bytes_per_s: float
    resident_bytes: int | None = None
    budget_bytes: int | None = None
    batch: int | None = None
    bytes_per_item: float | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """A survey that has ended. Groups come most wasted bytes first, samples in the order of time, problems by reason.

    Attributes:
        started_at: In seconds since the epoch.
        seconds: How long it took.
        near_duplicates: Groups of similar texts; None where nobody looked for them.
        recalled: Names that were not read, because they had not changed since the last survey.
        verdicts: Contents by what was found when they were looked into.
        texts: Contents in the full-text index.
        peak_bytes: The most that all processes had together, as sampled.
        budget_bytes: What they might have; None where there was no limit.
        died_workers: Worker processes that died, those killed on request too.
        killed_workers: Worker processes killed on request; None unless that was asked for.
        wanted_kills: How many were to be killed; fewer are where there are fewer contents to be looked into.
    """

    roots: Sequence[bytes]
    started_at: float
    seconds: float
    version: str
    algorithm: str
    min_size: int
    totals: Totals
    settings: Mapping[str, Setting] = field(default_factory=dict)
    stages: Sequence[Stage] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    types: Sequence[TypeCount] = ()
    sizes: Sequence[SizeCount] = ()
    largest: Sequence[FileFact] = ()
    oldest: Sequence[FileFact] = ()
    newest: Sequence[FileFact] = ()
    duplicates: Collection[DuplicateGroup] = ()
    near_duplicates: Sequence[NearGroup] | None = None
    damaged: Collection[Damage] = ()
    problems: Collection[Fault] = ()
    samples: Sequence[Sample] = ()
    recalled: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    texts: int = 0
    peak_bytes: int = 0
    budget_bytes: int | None = None
    died_workers: int = 0
    killed_workers: int | None = None
    wanted_kills: int | None = None

    @property
    def chaos(self) -> str:
        """What came of the request to kill workers, in words; empty where there was none."""
        if self.killed_workers is None:
            return ""
        killed = f"{self.killed_workers:,} killed on request"
        if self.wanted_kills is None or self.killed_workers >= self.wanted_kills:
            return killed
        return f"{killed} of {self.wanted_kills:,}, as there was no more to be looked into"

    @property
    def duplicate_files(self) -> int:
        """Files beyond the first of each group of equal ones."""
        return sum(len(group.files) - 1 for group in self.duplicates)

    @property
    def wasted_bytes(self) -> int:
        """Bytes that would be saved if one file of each group were kept."""
        return sum(group.wasted for group in self.duplicates)
