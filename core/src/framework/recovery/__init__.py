"""Gives back what processes that died had left behind, as their journals tell.

`journals` reads them and knows who is dead; `verbs` undoes one thing, after making sure whose it is; `children` ends
processes; `sweep` puts it together.
"""

from framework.recovery.journals import held
from framework.recovery.sweep import NotHereError, at_exit, reclaim, settle_own

__all__ = ["NotHereError", "at_exit", "held", "reclaim", "settle_own"]
