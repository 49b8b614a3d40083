"""What goes wrong with a pool beyond what every resource has."""

from __future__ import annotations

from framework.errors import ResourceError, ResourceUnavailableError
from plugin_pool.records import ResourceRequirement, Tier


class ShortageError(ResourceUnavailableError):
    """A request cannot be met, or was not met in time; `tier` says what it would take, `missing` what is lacking."""

    def __init__(self, problem: str, remedy: str, *, tier: Tier, missing: tuple[ResourceRequirement, ...] = ()) -> None:
        super().__init__(problem, remedy)
        self.tier = tier
        self.missing = missing
        if tier is Tier.IMPOSSIBLE:
            self.exit_code = 4


class DeadlockError(ResourceUnavailableError):
    """Waiting would never end, because those waited for wait as well; `tasks` names them."""

    def __init__(self, problem: str, remedy: str, *, tasks: tuple[str, ...]) -> None:
        super().__init__(problem, remedy)
        self.tasks = tasks


class StateError(ResourceError):
    """What was kept of a pool cannot be read; `path` names the file, `offset` the byte at which that begins."""

    def __init__(self, problem: str, remedy: str, *, path: str, offset: int = 0) -> None:
        super().__init__(problem, remedy, resource=path)
        self.path = path
        self.offset = offset
