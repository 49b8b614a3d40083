"""Plugins that break one rule each, under the suite that must notice; run by test_kit.py, never by itself.

`caught_by` names the test that fails. The classes without it break nothing.
"""

import asyncio
import atexit
import contextlib
import heapq
import itertools
import os
import subprocess
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest

from framework import Hint, Member, Plugin, PluginType, Recovery, Resource, ResourceProvider, creates, hookimpl, plugin
from framework.errors import ResourceLimitError, ResourceUnavailableError
from framework.records import ResourceClass
from framework.testing import (
    CollectorContract,
    DummyProvider,
    ParticipantContract,
    PluginContract,
    ProviderContract,
    StrategyContract,
    traces,
)

traces.PATIENCE_S = 0.3  # nothing that is left here is just about to go

KEPT: list[Any] = []
"""What the violations leave behind; it lives as long as this process."""


def declared(cls: type[Plugin]) -> type[Plugin]:
    name = cls.__name__.lower()
    return plugin(name=name, version="1", description="Bad.", author="Nobody", plugin_type=PluginType.PROCESSOR)(cls)


def leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def leave_a_descriptor() -> None:
    KEPT.append(os.open(os.devnull, os.O_RDONLY))


def leave_a_child() -> None:
    KEPT.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))  # it ends when this process does


def leave_a_file() -> None:
    os.close(tempfile.mkstemp()[0])


def leave_a_segment() -> None:
    path = f"/dev/shm/violation-{os.getpid()}-{len(KEPT)}"
    KEPT.append(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    atexit.register(os.unlink, path)


class Thing(Resource):
    async def _close(self) -> None:
        pass


class TestThread(PluginContract):
    caught_by = "test_it_starts_and_stops_without_leaving_anything"

    @declared
    class Subject(Plugin):
        async def initialize(self) -> None:
            leave_a_thread()

    subject = Subject


class TestDescriptor(PluginContract):
    caught_by = "test_it_starts_and_stops_without_leaving_anything"

    @declared
    class Subject(Plugin):
        async def cleanup(self) -> None:
            leave_a_descriptor()

    subject = Subject


class TestChild(PluginContract):
    caught_by = "test_it_starts_and_stops_without_leaving_anything"

    @declared
    class Subject(Plugin):
        async def initialize(self) -> None:
            leave_a_child()

    subject = Subject


class TestTemporaryFile(PluginContract):
    caught_by = "test_it_starts_and_stops_without_leaving_anything"

    @declared
    class Subject(Plugin):
        async def initialize(self) -> None:
            leave_a_file()

    subject = Subject


class TestSegment(PluginContract):
    caught_by = "test_it_starts_and_stops_without_leaving_anything"

    @declared
    class Subject(Plugin):
        async def initialize(self) -> None:
            leave_a_segment()

    subject = Subject


class TestSecondCleanup(PluginContract):
    caught_by = "test_cleaning_up_twice_is_harmless"

    @declared
    class Subject(Plugin):
        async def initialize(self) -> None:
            self.open = True

        async def cleanup(self) -> None:
            assert self.open, "closed already"
            self.open = False

    subject = Subject


class Careless(ResourceProvider):
    """Leaves a descriptor in each thing, and a lease of its own where it is cancelled."""

    @creates("bad.descriptor")
    async def create_descriptor(self, name: str) -> Thing:
        """A thing."""
        leave_a_descriptor()
        return Thing()

    @creates("bad.lease")
    async def create_lease(self, name: str) -> Thing:
        """A thing."""
        lease = self.ledger.open("bad.hidden", "", "nobody", 0)
        await asyncio.sleep(0)
        self.ledger.fail(lease)
        return Thing()


class Kept(Thing):
    async def release(self) -> None:
        pass


class Forgiving(ResourceProvider):
    """Takes whatever is asked, and what it lends cannot be given back."""

    @creates("bad.kept")
    async def create_kept(self, name: str) -> Kept:
        """A thing that is never released."""
        return Kept()

    async def create(self, kind: str, **parameters: Any) -> Resource:
        return await super().create(kind)


@declared
class Lender(Plugin):
    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        return [Careless()]


class TestLentDescriptor(PluginContract):
    caught_by = "test_giving_back_leaves_nothing"
    subject = Lender

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"bad.descriptor": {}}


class TestLeaseOfACancelledCaller(PluginContract):
    caught_by = "test_cancelling_an_acquisition_leaves_nothing"
    subject = Lender

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"bad.lease": {}}


class TestForgiving(PluginContract):
    caught_by = "test_each_kind_refuses_what_it_does_not_know"

    @declared
    class Subject(Plugin):
        @hookimpl
        def register_resource_providers(self) -> list[ResourceProvider]:
            return [Forgiving()]

    subject = Subject

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"bad.kept": {}}


class TestUnreleased(PluginContract):
    caught_by = "test_closing_the_host_gives_back_what_was_forgotten"
    subject = TestForgiving.subject

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"bad.kept": {}}


class TestForgottenRequest(PluginContract):
    caught_by = "test_there_is_a_request_for_each_kind"
    subject = Lender


class TestUntyped(PluginContract):
    caught_by = "test_its_manifest_is_complete"
    subject = "untyped"


class TestUndescribedSetting(PluginContract):
    caught_by = "test_its_settings_have_defaults_documentation_and_no_loose_ends"
    subject = "undescribed"


class TestBrokenPromise(PluginContract):
    caught_by = "test_it_provides_exactly_what_its_manifest_promises"
    subject = "boastful"


class TestUnpromisedService(PluginContract):
    caught_by = "test_it_provides_exactly_what_its_manifest_promises"
    subject = "generous"


class TestEagerlyImported(PluginContract):
    caught_by = "test_finding_it_does_not_import_it"
    subject = "eager"


class TestSlowImport(PluginContract):
    caught_by = "test_importing_it_is_cheap"
    subject = "slow"


class TestForbiddenImport(PluginContract):
    caught_by = "test_importing_it_brings_in_nothing_forbidden"
    subject = "heavy"


class TestImportStartsAThread(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_thread"


class TestImportChangesThePath(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_path"


class TestImportSetsASignalHandler(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_signal"


class TestImportChangesTheEnvironment(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_environment"


class TestImportChangesTheDirectory(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_directory"


class TestImportPrints(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_print"


class TestImportRunsAProgram(PluginContract):
    caught_by = "test_importing_it_has_no_effects"
    subject = "effect_program"


class Wanting(PluginContract):
    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {f"{self.subject}.thing": {}}


class TestUndeclaredFile(Wanting):
    caught_by = "test_it_does_only_what_it_declares"
    subject = "does_file"


class TestUndeclaredProgram(Wanting):
    caught_by = "test_it_does_only_what_it_declares"
    subject = "does_program"


class TestUndeclaredConnection(Wanting):
    caught_by = "test_it_does_only_what_it_declares"
    subject = "does_connection"


class TestUndeclaredEnvironment(Wanting):
    caught_by = "test_it_does_only_what_it_declares"
    subject = "does_environment"


class TestUnknownPermission(PluginContract):
    caught_by = "test_it_does_only_what_it_declares"
    subject = "claims"


class TestHonest(Wanting):
    subject = "honest"


class OfProvider(ProviderContract):
    provider_class: ClassVar[type[ResourceProvider]]

    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return self.provider_class()

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {one.kind: {} for one in self.provider_class.kinds()}


class Good(ResourceProvider):
    @creates("good.thing")
    async def create_thing(self, name: str) -> Thing:
        """A thing."""
        await asyncio.sleep(0)
        return Thing()


class TestGoodProvider(OfProvider):
    provider_class = Good


class TestUnwanted(OfProvider):
    caught_by = "test_there_is_a_request_for_each_kind"
    provider_class = Good

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {}


class TestUndocumented(OfProvider):
    caught_by = "test_it_describes_each_kind"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.silent")
        async def create_silent(self, name: str) -> Thing:
            return Thing()


class AlwaysReady(Good):
    async def create(self, kind: str, **parameters: Any) -> Resource:
        self._ready = True
        return await super().create(kind, **parameters)


class TestReadyTooEarly(OfProvider):
    caught_by = "test_creating_before_initialize_is_refused"
    provider_class = AlwaysReady


class TestReadyTooLong(OfProvider):
    caught_by = "test_creating_after_cleanup_is_refused"
    provider_class = AlwaysReady


class TestSecondInitialize(OfProvider):
    caught_by = "test_initializing_twice_is_harmless"

    class provider_class(Good):  # noqa: N801 - it is the attribute of that name
        async def initialize(self) -> None:
            await self.cleanup()
            await super().initialize()


class TestSecondRelease(OfProvider):
    caught_by = "test_each_kind_is_lent_and_given_back"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.once")
        async def create_once(self, name: str) -> Thing:
            """A thing that cannot be released twice."""

            class Once(Thing):
                async def release(self) -> None:
                    assert self.is_allocated(), "released already"
                    await super().release()

            return Once()


class TestForgetfulCleanup(OfProvider):
    caught_by = "test_cleanup_gives_back_what_was_forgotten"

    class provider_class(Good):  # noqa: N801 - it is the attribute of that name
        async def cleanup(self) -> None:
            self._ready = False


class TestSecondProviderCleanup(OfProvider):
    caught_by = "test_cleaning_up_twice_is_harmless"

    class provider_class(Good):  # noqa: N801 - it is the attribute of that name
        async def cleanup(self) -> None:
            self.check_ready()
            await super().cleanup()


class TestTolerant(OfProvider):
    caught_by = "test_what_it_does_not_know_is_refused"

    class provider_class(Good):  # noqa: N801 - it is the attribute of that name
        async def create(self, kind: str, **parameters: Any) -> Resource:
            return await super().create(kind)


class TestFileOfACancelledCaller(OfProvider):
    caught_by = "test_cancelling_at_each_step_leaves_nothing"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.file")
        async def create_file(self, name: str) -> Thing:
            """A thing that is a file for a moment."""
            descriptor, path = tempfile.mkstemp()
            os.close(descriptor)
            await asyncio.sleep(0)
            os.unlink(path)
            return Thing()


class Paper(Resource):
    """A file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _close(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def write(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


class Papers(ResourceProvider):
    """Lends files in the way it should be done."""

    resource_class: type[Paper] = Paper

    @creates("good.paper")
    async def create_paper(self, name: str) -> Paper:
        """A file."""
        path = os.path.join(os.path.realpath(tempfile.gettempdir()), f"paper-{self.token()}")
        self.intend(Recovery.UNLINK, path)
        self.make(path)
        return self.resource_class(path)

    def make(self, path: str) -> None:
        try:
            write(path)
        except OSError as error:
            raise ResourceUnavailableError("good.paper: no file.", "Close some.") from error


class TestGoodPapers(OfProvider):
    provider_class = Papers


class Unintending(Papers):
    def intend(self, verb: Recovery, path: str, *, proof: str = "", volatile: bool = False) -> None:
        pass


class TestUnintended(OfProvider):
    caught_by = "test_killed_at_each_step_of_its_journal_it_leaves_nothing"
    provider_class = Unintending


class TestIntendedTooLate(OfProvider):
    caught_by = "test_killed_at_each_step_of_its_journal_it_leaves_nothing"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.late")
        async def create_late(self, name: str) -> Paper:
            """A file that was there before anybody knew."""
            path = os.path.join(os.path.realpath(tempfile.gettempdir()), f"paper-{self.token()}")
            write(path)
            self.intend(Recovery.UNLINK, path)
            return Paper(path)


class Program(Thing):
    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "60"])

    async def _close(self) -> None:
        self.process.kill()
        self.process.wait()


class TestOrphan(OfProvider):
    caught_by = "test_killed_at_each_step_of_its_journal_it_leaves_nothing"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.program")
        async def create_program(self, name: str) -> Program:
            """A process that does not carry the token."""
            return Program()


class ByProvider(Papers):
    """Undoes by itself."""

    def intend(self, verb: Recovery, path: str, *, proof: str = "", volatile: bool = False) -> None:
        super().intend(Recovery.PROVIDER, path)

    async def reclaim(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class TestGoodReclaim(OfProvider):
    provider_class = ByProvider


class TestGreedyReclaim(OfProvider):
    caught_by = "test_killed_at_each_step_of_its_journal_it_leaves_nothing"

    class provider_class(ByProvider):  # noqa: N801 - it is the attribute of that name
        async def reclaim(self, path: str) -> None:
            for one in os.listdir(os.path.dirname(path)):
                if one.startswith("paper-"):
                    os.unlink(os.path.join(os.path.dirname(path), one))


class TestSecondReclaim(OfProvider):
    caught_by = "test_reclaiming_again_takes_nothing_of_others"

    class provider_class(ByProvider):  # noqa: N801 - it is the attribute of that name
        async def reclaim(self, path: str) -> None:
            os.unlink(path)


class TestScratch(OfProvider):
    caught_by = "test_killed_at_each_call_it_leaves_nothing"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        def make(self, path: str) -> None:
            super().make(path)
            write(f"{path}.scratch")
            os.unlink(f"{path}.scratch")


class TestTidyAtExit(OfProvider):
    caught_by = "test_a_forked_child_takes_nothing_away"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        class resource_class(Paper):  # noqa: N801 - it is the attribute of that name
            def __init__(self, path: str) -> None:
                super().__init__(path)
                self.tidy = weakref.finalize(self, os.unlink, path)

            def _close(self) -> None:
                self.tidy()


class TestTidyInAChild(OfProvider):
    caught_by = "test_a_forked_child_takes_nothing_away"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        class resource_class(Paper):  # noqa: N801 - it is the attribute of that name
            async def release(self) -> None:
                self._close()
                await super().release()


class TestParentsToken(OfProvider):
    caught_by = "test_what_a_forked_child_lends_is_its_own"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        first = ""

        def token(self) -> str:
            self.first = self.first or super().token()
            return self.first


class TestNobodysClaim(OfProvider):
    caught_by = "test_of_many_that_release_it_one_does"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        class resource_class(Paper):  # noqa: N801 - it is the attribute of that name
            async def release(self) -> None:
                self._close()
                await super().release()


class TestKeeper(OfProvider):
    caught_by = "test_what_was_not_delivered_is_given_back"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        class resource_class(Paper):  # noqa: N801 - it is the attribute of that name
            def __init__(self, path: str) -> None:
                super().__init__(path)
                KEPT.append(self)


class TestHesitantRelease(OfProvider):
    caught_by = "test_cancelling_a_release_gives_it_back"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        class resource_class(Paper):  # noqa: N801 - it is the attribute of that name
            async def release(self) -> None:
                await asyncio.sleep(0)
                await super().release()


class TestSilentCleanup(OfProvider):
    caught_by = "test_a_release_that_fails_can_be_tried_again"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        async def cleanup(self) -> None:
            with contextlib.suppress(ExceptionGroup):
                await super().cleanup()


class TestCloseOfAnothers(OfProvider):
    caught_by = "test_closing_what_has_vanished_is_harmless"

    class provider_class(ResourceProvider):  # noqa: N801 - it is the attribute of that name
        @creates("bad.number")
        async def create_number(self, name: str) -> Thing:
            """A descriptor."""
            number = os.open(os.devnull, os.O_RDONLY)

            class Number(Thing):
                async def _close(self) -> None:
                    os.close(number)

            return Number()


class TestOtherRefusal(OfProvider):
    caught_by = "test_a_quota_that_is_reached_refuses"

    class provider_class(Good):  # noqa: N801 - it is the attribute of that name
        async def create(self, kind: str, **parameters: Any) -> Resource:
            try:
                return await super().create(kind, **parameters)
            except ResourceLimitError as error:
                raise ResourceUnavailableError("good.thing: no.", "Wait.") from error


class TestBareError(OfProvider):
    caught_by = "test_without_descriptors_it_is_refused_and_leaves_nothing"

    class provider_class(Papers):  # noqa: N801 - it is the attribute of that name
        def make(self, path: str) -> None:
            write(path)


class TestKilledHost(PluginContract):
    caught_by = "test_the_next_host_gives_back_what_a_killed_one_left"

    @declared
    class Subject(Plugin):
        @hookimpl
        def register_resource_providers(self) -> list[ResourceProvider]:
            return [Unintending()]

    subject = Subject

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"good.paper": {}}


class OfParticipant(ParticipantContract):
    name = "bad"
    kept = False

    @pytest.fixture
    def participant(self) -> Any:
        return self

    def cleanup(self, *, aggressive: bool, reason: str) -> Any:
        return 0


class TestGoodParticipant(OfParticipant):
    pass


class TestNamelessParticipant(OfParticipant):
    caught_by = "test_it_has_the_shape_of_a_participant"
    name = ""


class TestSilentParticipant(OfParticipant):
    caught_by = "test_it_answers_with_a_number_of_bytes"

    def cleanup(self, *, aggressive: bool, reason: str) -> Any:
        return None


class TestBoastfulParticipant(OfParticipant):
    caught_by = "test_asking_twice_is_harmless"

    def cleanup(self, *, aggressive: bool, reason: str) -> Any:
        KEPT.append(reason)
        return len(KEPT)


class TestSlowParticipant(OfParticipant):
    caught_by = "test_it_answers_in_time"
    budget_ms = 1.0

    def cleanup(self, *, aggressive: bool, reason: str) -> Any:
        time.sleep(0.002)
        return 0


class TestCarelessParticipant(OfParticipant):
    caught_by = "test_it_leaves_nothing"

    def cleanup(self, *, aggressive: bool, reason: str) -> Any:
        leave_a_descriptor()
        return 0


class OfCollector(CollectorContract):
    name = "bad"

    @pytest.fixture
    def collector(self) -> Any:
        return self

    def collect(self) -> Any:
        return {"things": 1.0}


class TestGoodCollector(OfCollector):
    pass


class TestNamelessCollector(OfCollector):
    caught_by = "test_it_has_the_shape_of_a_collector"
    name = " "


class TestTalkativeCollector(OfCollector):
    caught_by = "test_it_measures_numbers_by_name"

    def collect(self) -> Any:
        return {"things": float("nan")}


class TestFickleCollector(OfCollector):
    caught_by = "test_its_names_stay_the_same"
    numbers = itertools.count()

    def collect(self) -> Any:
        return {f"things_{next(self.numbers)}": 1.0}


class TestSharingCollector(OfCollector):
    caught_by = "test_an_answer_belongs_to_whom_it_was_given"
    answer: ClassVar[dict[str, float]] = {"things": 1.0}

    def collect(self) -> Any:
        return self.answer


class TestSlowCollector(OfCollector):
    caught_by = "test_it_answers_in_time"
    budget_ms = 1.0

    def collect(self) -> Any:
        time.sleep(0.002)
        return {}


class TestHomesickCollector(OfCollector):
    caught_by = "test_it_can_be_asked_from_any_thread"

    def collect(self) -> Any:
        assert threading.current_thread() is threading.main_thread()
        return {}


class TestCarelessCollector(OfCollector):
    caught_by = "test_it_leaves_nothing"

    def collect(self) -> Any:
        leave_a_descriptor()
        return {}


class OfStrategy(StrategyContract):
    name = "bad"

    @pytest.fixture
    def strategy(self) -> Any:
        return self

    def rank(self, resource_class: ResourceClass) -> Any:
        return float(sum(resource_class.capabilities.values()))


class TestGoodStrategy(OfStrategy):
    pass


class TestNamelessStrategy(OfStrategy):
    caught_by = "test_it_has_the_shape_of_a_strategy"
    name = ""


class TestGreedyStrategy(OfStrategy):
    caught_by = "test_it_takes_one_class_at_a_time"

    def rank(self, *resource_class: ResourceClass) -> Any:
        return 0.0


class TestUndecidedStrategy(OfStrategy):
    caught_by = "test_a_rank_is_a_finite_number"

    def rank(self, resource_class: ResourceClass) -> Any:
        return float("nan")


class TestMoodyStrategy(OfStrategy):
    caught_by = "test_a_rank_depends_on_the_class_alone"
    numbers = itertools.count()

    def rank(self, resource_class: ResourceClass) -> Any:
        return float(next(self.numbers))


class TestMeddlingStrategy(OfStrategy):
    caught_by = "test_ranking_changes_no_class"

    def rank(self, resource_class: ResourceClass) -> Any:
        capabilities: Mapping[str, int] = resource_class.capabilities
        assert isinstance(capabilities, dict)
        capabilities["ranked"] = 1
        return 0.0


class TestGrowingStrategy(OfStrategy):
    caught_by = "test_its_cost_does_not_grow"
    seen: ClassVar[list[ResourceClass]] = []

    def rank(self, resource_class: ResourceClass) -> Any:
        self.seen.append(resource_class)
        return 0.0 * len([one for one in self.seen if one.type == "plain"])


class TestForgetfulSignature(OfStrategy):
    caught_by = "test_what_it_has_besides_can_be_called"

    def granted(self, task_id: str) -> None:
        pass


class TestExpectantStrategy(OfStrategy):
    caught_by = "test_an_odd_class_has_a_rank_too"

    def rank(self, resource_class: ResourceClass) -> Any:
        return float(resource_class.labels.get("priority", "0"))


class TestRudeHint(OfStrategy):
    caught_by = "test_a_hint_is_one"

    def hint(self, task_id: str) -> Any:
        return ["entity-1"]


class TestGrowingHint(OfStrategy):
    caught_by = "test_its_cost_does_not_grow"

    def hint(self, task_id: str) -> Any:
        tasks = self.__dict__.setdefault("tasks", [])
        tasks.append(task_id)
        return Hint(("entity-1",)) if [one for one in tasks if one == "entity-1"] else None


class Row:
    """A bag that breaks nothing: the one that has been there longest."""

    def __init__(self) -> None:
        self.members: OrderedDict[Member, None] = OrderedDict()

    def push(self, member: Member) -> None:
        self.members[member] = None

    def pop(self) -> Member:
        return self.members.popitem(last=False)[0]

    def discard(self, member: Member) -> None:
        del self.members[member]

    def key(self) -> float:
        return 0.0


class OfBags(OfStrategy):
    made: ClassVar[Any] = Row

    def bag(self, resource_class: ResourceClass) -> Any:
        return self.made()


class TestGoodBag(OfBags):
    pass


class Loser(Row):
    def push(self, member: Member) -> None:
        if len(self.members) < 5:
            super().push(member)

    def pop(self) -> Member:
        return super().pop() if self.members else cast("Member", None)

    def discard(self, member: Member) -> None:
        self.members.pop(member, None)


class TestLosingBag(OfBags):
    caught_by = "test_a_bag_gives_each_entity_once"
    made = Loser


class Repeater(Row):
    def discard(self, member: Member) -> None:
        pass


class TestRepeatingBag(OfBags):
    caught_by = "test_a_bag_gives_each_entity_once"
    made = Repeater


class Unkeyed(Row):
    def key(self) -> float:
        return float("nan")


class TestUnkeyedBag(OfBags):
    caught_by = "test_a_key_is_a_finite_number"
    made = Unkeyed


class TestSharedBag(OfBags):
    caught_by = "test_two_pools_do_not_mix"
    shared: ClassVar[Row] = Row()

    def bag(self, resource_class: ResourceClass) -> Any:
        return self.shared


class Scanner(Row):
    """Looks at all of them."""

    def pop(self) -> Member:
        found = min(self.members, key=lambda one: one.load)
        del self.members[found]
        return found


class TestScanningBag(OfBags):
    caught_by = "test_a_bag_costs_no_more_with_many"
    made = Scanner


class Remover:
    """Has the list look at all of them."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def push(self, member: Member) -> None:
        self.members.append(member)

    def pop(self) -> Member:
        return self.members.pop()

    def discard(self, member: Member) -> None:
        self.members.remove(member)

    def key(self) -> float:
        return 0.0


class TestRemovingBag(OfBags):
    caught_by = "test_a_bag_costs_no_more_with_many"
    made = Remover


class Comparer(Remover):
    """Has `min` compare all of them, none of it in Python."""

    def __init__(self) -> None:
        self.loads: dict[Member, tuple[int, int]] = {}
        self.members_by_load: dict[tuple[int, int], Member] = {}
        self.numbers = itertools.count()

    def push(self, member: Member) -> None:
        load = self.loads[member] = member.load, next(self.numbers)
        self.members_by_load[load] = member

    def pop(self) -> Member:
        found = self.members_by_load[min(self.members_by_load)]
        self.discard(found)
        return found

    def discard(self, member: Member) -> None:
        del self.members_by_load[self.loads.pop(member)]


class TestComparingBag(OfBags):
    caught_by = "test_a_bag_costs_no_more_with_many"
    made = Comparer


class Hoarder(Row):
    """A heap of which nothing is ever cleared that does not come up."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[tuple[int, int]] = []
        self.numbers = itertools.count()

    def push(self, member: Member) -> None:
        super().push(member)
        heapq.heappush(self.heap, (member.load, next(self.numbers)))


class TestHoardingBag(OfBags):
    caught_by = "test_churn_leaves_nothing"
    made = Hoarder


class TestStrategyWithAnEndlessMemory(OfBags):
    caught_by = "test_churn_leaves_nothing"

    def granted(self, task_id: str, members: Any) -> None:
        self.__dict__.setdefault("last", {})[task_id] = members[0].id


class TestStrategyThatForgetsNobody(OfBags):
    caught_by = "test_what_is_removed_is_forgotten"

    def granted(self, task_id: str, members: Any) -> None:
        self.__dict__.setdefault("seen", {}).update(dict.fromkeys(members))

    def released(self, task_id: str, members: Any) -> None:
        self.granted(task_id, members)

    def hint(self, task_id: str) -> None:
        return None


class TestGoodPlugin(PluginContract):
    @declared
    class Subject(Plugin):
        @hookimpl
        def register_resource_providers(self) -> list[ResourceProvider]:
            return [DummyProvider([])]

    subject = Subject

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"dummy.thing": {}, "dummy.file": {}, "dummy.link": {}}
