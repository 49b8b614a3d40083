"""The hook by which a kept pool asks whose its allocations are."""

from __future__ import annotations

from collections.abc import Sequence

from framework import hookspec


class PoolHooks:
    """Hooks that the plugin `pool` specifies."""

    @hookspec
    def pool_owner_alive(self, task_id: str, resources: Sequence[str]) -> bool | None:
        """Say whether a task that held resources when the pool was last kept still does.

        It is asked when the pool is opened, and once more before what nobody knew ends; in another thread.

        Returns:
            True to have them kept, False to have them released, None where the task is not of this plugin.
        """
