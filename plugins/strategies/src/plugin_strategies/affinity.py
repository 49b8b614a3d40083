"""`Affinity`: given tasks to given entities."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from framework import Bag, Hint, Member, ResourceClass
from framework.errors import InvalidRequestError
from plugin_strategies.load_bag import LoadBag
from plugin_strategies.rule import Rule, read
from plugin_strategies.tallies import Tallies

_MOST_NAMES = 16
"""So many of the entities that served a task with several of them are preferred by the next one of its key."""


class Affinity:
    """Gives tasks the entities that they go with, if these will do and have room.

    Tasks with the same key belong together: the part of their id before the first separator (all of it where there is
    none), so `customer-7/invoice` and `customer-7/letter` do. Where nothing is preferred the least able class is taken;
    with `spread` the one with the label value that the fewest tasks hold. Within a class those with fewest holders come
    first.

    What it remembers belongs to the object. Give each pool one of its own: two pools that share one share the memory of
    keys and the counts by label value (which harms nothing but the preferences).

    Args:
        rules: Rules, or mappings with the same keys; the first one that matches a task's id applies.
        sticky: Tasks prefer the entity that served the last task of the same key.
        anti_affinity: A label: tasks avoid values that other tasks of the same key hold now.
        spread: A label: load spreads evenly over its values, for instance over zones.
        separator: What ends the key.
        remember: So many keys are remembered for `sticky`; then the one is forgotten that was longest not used.

    Raises:
        InvalidRequestError: An argument is wrong, or two contradict each other.
    """

    name = "affinity"

    def __init__(
        self,
        *,
        rules: Iterable[Rule | Mapping[str, object]] = (),
        sticky: bool = False,
        anti_affinity: str = "",
        spread: str = "",
        separator: str = "/",
        remember: int = 10_000,
    ) -> None:
        _check(rules, sticky, anti_affinity, spread, separator, remember)
        self._rules = [(one.matcher().match, one) for one in map(read, rules)]
        self._sticky = sticky
        self._anti_affinity = anti_affinity
        self._spread = spread
        self._separator = separator
        self._remember = remember
        self._lock = threading.Lock()  # two pools may call at once
        self._served: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._labels: dict[Member, Mapping[str, str]] = {}
        self._load = Tallies()
        self._held: dict[str, Tallies] = {}

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the sum of the levels; the same for all where load is to be spread."""
        return 0.0 if self._spread else float(sum(resource_class.capabilities.values()))

    def bag(self, resource_class: ResourceClass) -> Bag:
        """Return a bag that takes note of the labels of its entities."""
        wanted = [one for one in (self._spread, self._anti_affinity) if one]
        labels = {one: resource_class.labels.get(one, "") for one in wanted}
        return _Labelled(labels, self._labels, self._load, labels.get(self._spread)) if wanted else LoadBag()

    def hint(self, task_id: str) -> Hint | None:
        """Return what the rules say, who served last, and what others of the same key hold."""
        rule = next((one for matches, one in self._rules if matches(task_id)), None)
        prefer, near, avoid = (rule.prefer, rule.near, rule.avoid) if rule else ((), {}, {})
        with self._lock:
            if self._sticky:
                prefer = (*prefer, *self._served.get(self._key(task_id), ()))
            if self._anti_affinity and (held := self._held.get(self._key(task_id))):
                values = held.keys() | avoid.get(self._anti_affinity, frozenset())
                avoid = {**avoid, self._anti_affinity: frozenset(values)}
        return Hint(prefer, near, avoid) if prefer or near or avoid else None

    def granted(self, task_id: str, members: Sequence[Member]) -> None:
        """Remember who serves a key, and count by label."""
        with self._lock:
            if self._sticky:
                key = self._key(task_id)
                self._served[key] = tuple([one.id for one in members[:_MOST_NAMES]])
                self._served.move_to_end(key)
                if len(self._served) > self._remember:
                    self._served.popitem(last=False)
            self._count(task_id, members, 1)

    def released(self, task_id: str, members: Sequence[Member]) -> None:
        """Count by label."""
        with self._lock:
            self._count(task_id, members, -1)

    def removed(self, member: Member) -> None:
        """Forget an entity."""
        self._labels.pop(member, None)

    def _count(self, task_id: str, members: Sequence[Member], change: int) -> None:
        if not self._labels:
            return
        key = self._key(task_id)
        held = self._held.setdefault(key, Tallies())
        for member in members:
            labels = self._labels.get(member, {})
            if self._spread in labels:
                self._load.add(labels[self._spread], change)
            if labels.get(self._anti_affinity):
                held.add(labels[self._anti_affinity], change)
        if not held:
            del self._held[key]

    def _key(self, task_id: str) -> str:
        return task_id.partition(self._separator)[0]


class _Labelled(LoadBag):
    """The entities of one class, whose labels are known."""

    __slots__ = ("_known", "_labels", "_load", "_value")

    def __init__(
        self, labels: Mapping[str, str], known: dict[Member, Mapping[str, str]], load: Tallies, value: str | None
    ) -> None:
        super().__init__()
        self._labels = labels
        self._known = known
        self._load = load
        self._value = value

    def push(self, member: Member) -> None:
        """Take in an entity that is not here."""
        self._known[member] = self._labels
        super().push(member)

    def key(self) -> float:
        """Return how many tasks hold an entity with the same label value; else what the load of the next one is."""
        return super().key() if self._value is None else float(self._load.get(self._value, 0))


def _check(
    rules: object, sticky: object, anti_affinity: object, spread: object, separator: object, most: object
) -> None:
    texts = {"anti_affinity": anti_affinity, "spread": spread, "separator": separator}
    wrong = next((name for name, value in texts.items() if not isinstance(value, str)), "")
    if wrong:
        raise InvalidRequestError(f"{wrong} is {texts[wrong]!r:.60}; a text is allowed.", "Name a label.")
    if not separator:
        raise InvalidRequestError("The separator is empty.", 'Use "/", or a text that no id of a task has.')
    if not isinstance(rules, Iterable) or isinstance(rules, str | Mapping):
        raise InvalidRequestError(f"rules is {rules!r:.60}; a list of rules is allowed.", "[{tasks: …, prefer: […]}]")
    if not isinstance(sticky, bool):
        raise InvalidRequestError(f"sticky is {sticky!r:.60}; true or false is allowed.", "true")
    if type(most) is not int or most < 1:
        raise InvalidRequestError(
            f"remember is {most!r:.60}; an integer from 1 is allowed.", "Without sticky it is unused."
        )
    if sticky and anti_affinity:
        raise InvalidRequestError(
            "sticky draws tasks of one key to one entity, and anti_affinity drives them apart.", "Use one of the two."
        )
