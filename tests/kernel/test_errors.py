import pickle
import re

import pytest

from framework import errors
from framework.errors import FrameworkError, did_you_mean

EXIT_CODES = {  # what operators' scripts rely on; 0 is success and 130 an interrupt
    "FrameworkError": 1,
    "SettingsError": 2,
    "PluginError": 6,
    "PluginNotFoundError": 2,
    "PluginLoadError": 6,
    "PluginDependencyError": 6,
    "ManifestError": 6,
    "ResourceError": 3,
    "UnknownKindError": 4,
    "InvalidRequestError": 2,
    "AdmissionRefusedError": 5,
    "ResourceUnavailableError": 3,
    "ResourceLimitError": 5,
    "PolicyError": 7,
    "LeaseStateError": 1,
}
CLASSES = [getattr(errors, name) for name in EXIT_CODES]


def drawn_tree() -> dict[str, str]:
    """Return the parent of each class as drawn in the module's docstring."""
    parents, path = {}, [""]
    for indent, name in re.findall(r"^( *)(?:\+ )?(\w+Error)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 2
        parents[name] = path[depth]
        path = [*path[: depth + 1], name]
    return parents


def real_tree(root: type[Exception], parent: str = "") -> dict[str, str]:
    """Return the parent of each class as Python has it."""
    tree = {root.__name__: parent}
    for child in root.__subclasses__():
        if child.__module__ == "framework.errors":
            tree |= real_tree(child, root.__name__)
    return tree


def test_the_tree_is_as_drawn() -> None:
    assert drawn_tree() == real_tree(FrameworkError)


def test_every_class_has_the_documented_exit_code() -> None:
    assert {cls.__name__: cls.exit_code for cls in CLASSES} == EXIT_CODES
    assert set(EXIT_CODES) == set(real_tree(FrameworkError))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_carries_problem_remedy_and_subject(cls: type[FrameworkError]) -> None:
    error = cls("It broke.", "Mend it.", plugin="p", resource="r")
    assert (error.problem, error.remedy, error.plugin, error.resource) == ("It broke.", "Mend it.", "p", "r")
    assert str(error) == "It broke. Mend it."
    assert (cls.__doc__ or "").endswith(".") or "Args:" in (cls.__doc__ or "")


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_the_way_from_another_process(cls: type[FrameworkError]) -> None:
    error = pickle.loads(pickle.dumps(cls("It broke.", "Mend it.", plugin="p", resource="r")))
    assert type(error) is cls
    assert str(error) == "It broke. Mend it."
    assert (error.problem, error.remedy, error.plugin, error.resource) == ("It broke.", "Mend it.", "p", "r")


def test_without_a_remedy_the_text_is_the_problem() -> None:
    assert str(FrameworkError("It broke.")) == "It broke."


@pytest.mark.parametrize(
    ("word", "expected"),
    [("memori", "Did you mean 'memory'?"), ("zzz", ""), ("", ""), ("file", "Did you mean 'file'?")],
)
def test_the_nearest_word_is_suggested(word: str, expected: str) -> None:
    assert did_you_mean(word, ["memory", "file", "network"]) == expected
    assert did_you_mean(word, []) == ""
