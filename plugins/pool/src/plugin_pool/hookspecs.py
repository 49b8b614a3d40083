"""The extension points of this plugin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from framework import hookspec


class PoolHooks:
    """What plugins may implement, with `hookimpl(optionalhook=True)`, so that they work without this one."""

    @hookspec
    def pool_blocked(self, cause: str, reason: str, task: str, count: int, sentence: str, remedy: str) -> None:
        """Something is blocked in the pool; called once for each cause, and again if it changes, in a thread.

        Args:
            cause: `entities` where tasks hold some and wait for something else; `task` where tasks wait for the same;
                `more` for all causes beyond the first hundred.
            reason: `blocked`; or what it would take: `busy`, `error`, `impossible`, or `kept` for others.
            task: The task, or the first of them.
            count: How many entities, tasks or causes.
            sentence: All of it, in words.
            remedy: A way out.
        """

    @hookspec
    def pool_unblocked(self, cause: str, reason: str, task: str) -> None:
        """What `pool_blocked` told is over, whether it was served or gave up; with the same words as then."""

    @hookspec
    def register_inference_rules(self) -> Iterable[object]:
        """Return rules for inferring what tasks require from descriptions, asked for each time one is inferred.

        Each is a mapping: `type`, `capability`, `words` (a list, or a mapping of lists by language), and if need be
        `min_level`. The pool takes `plugin_pool.Rule` too. One that cannot be used is reported, and left out.
        """
        return ()

    @hookspec
    def pool_owner_alive(self, task_id: str, resources: Sequence[str]) -> bool | None:
        """Say whether a task that held resources when the pool was last kept still does.

        It is asked when the pool is opened, and once more before what nobody knew ends; in another thread.

        Returns:
            True to have them kept, False to have them released, None where the task is not of this plugin.
        """
