"""The whole error tree.

Every error says what was wrong and, as its remedy, a way out. The exit code is what the command line ends with.

FrameworkError
  + SettingsError                  a setting is unknown, of the wrong type, or unreadable
  + PluginError                    anything wrong with one plugin
    + PluginNotFoundError          no plugin of that name, or nothing in a module that is one
    + PluginLoadError              importing, starting or registering it failed
    + PluginDependencyError        what it requires is missing, broken or part of a cycle
    + ManifestError                plugin.toml cannot be used
  + ResourceError                  anything wrong with one resource
    + UnknownKindError             no enabled plugin provides the kind
    + InvalidRequestError          a parameter is unknown, missing, or out of range
    + ResourceUnavailableError     refused for now: nobody listens, no space, name taken
      + AdmissionRefusedError      refused for now: memory is so short that nothing more is lent
    + ResourceLimitError           more than a limit or than the machine has
    + PolicyError                  forbidden by configuration, whoever asks
    + LeaseStateError              a transition that the state model does not have
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like a misspelt one, or nothing when none is like it."""
    import difflib  # only when something already went wrong

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the sentence "Did you mean …?" for the nearest known word, or nothing."""
    found = nearest(word, known)
    return f"Did you mean {found!r}?" if found else ""


class FrameworkError(Exception):
    """Base of every error that the framework raises on purpose.

    Args:
        problem: One sentence: the subject, what was found, what was allowed.
        remedy: One sentence: a way out. Empty only where the problem already says it.
        plugin: Name of the plugin concerned.
        resource: Name or kind of the resource concerned.
    """

    exit_code = 1

    def __init__(
        self, problem: str, remedy: str = "", *, plugin: str | None = None, resource: str | None = None
    ) -> None:
        super().__init__(f"{problem} {remedy}".rstrip())
        self.problem = problem
        self.remedy = remedy
        self.plugin = plugin
        self.resource = resource


class SettingsError(FrameworkError):
    """A setting is unknown, has the wrong type, or its file cannot be read."""

    exit_code = 2


class PluginError(FrameworkError):
    """Something is wrong with one plugin; `plugin` names it."""

    exit_code = 6


class PluginNotFoundError(PluginError):
    """No plugin of that name is known, or a module holds none."""

    exit_code = 2


class PluginLoadError(PluginError):
    """A plugin could not be imported, started or registered; `__cause__` is the reason."""


class PluginDependencyError(PluginError):
    """What a plugin requires is missing, broken, or part of a cycle."""


class ManifestError(PluginError):
    """A `plugin.toml` cannot be read or does not say what it must."""


class ResourceError(FrameworkError):
    """Something is wrong with one resource; `resource` names it."""

    exit_code = 3


class UnknownKindError(ResourceError):
    """No enabled plugin provides resources of the kind asked for."""

    exit_code = 4


class InvalidRequestError(ResourceError):
    """A parameter of a request is unknown, missing, of the wrong type or out of range."""

    exit_code = 2


class ResourceUnavailableError(ResourceError):
    """The resource cannot be had now; asking again later, or for another name, may work."""


class AdmissionRefusedError(ResourceUnavailableError):
    """Nothing is lent now, because what there is, as memory, is nearly used up; waiting for it took too long."""

    exit_code = 5


class ResourceLimitError(ResourceError):
    """The request is larger than a limit or than the machine."""

    exit_code = 5


class PolicyError(ResourceError):
    """Configuration forbids the request, whoever asks."""

    exit_code = 7


class LeaseStateError(ResourceError):
    """A lease was asked to make a transition that the state model does not have."""

    exit_code = 1


class FrameworkDeprecationWarning(DeprecationWarning):
    """A hook or an argument of one will be removed: for `warn_on_impl` and `warn_on_impl_args` of `hookspec`.

    Args:
        subject: What is deprecated; filled in with hook and plugin when a plugin implements it.
        removed_in: The version that will not have it any more.
        use: What to use instead.
    """

    def __init__(self, subject: str = "This", *, removed_in: str, use: str = "") -> None:
        super().__init__(f"{subject} is deprecated, and {self.advice(removed_in, use)}")
        self.removed_in = removed_in
        self.use = use

    @staticmethod
    def advice(removed_in: str, use: str) -> str:
        """Return until when it can be used, and what to use instead."""
        return f"goes away in {removed_in}{f'; use {use!r} instead' if use else ''}."

    def about(self, subject: str) -> FrameworkDeprecationWarning:
        """Return the same warning about something in particular."""
        return FrameworkDeprecationWarning(subject, removed_in=self.removed_in, use=self.use)
