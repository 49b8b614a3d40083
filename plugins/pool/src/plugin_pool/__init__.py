"""A pool of entities with levelled capabilities: exact, fair, and able to say why a task waits."""

from plugin_pool.errors import DeadlockError, ShortageError, StateError
from plugin_pool.explanation import Explanation
from plugin_pool.inference import infer_resource_requirements
from plugin_pool.keeping.persistence import Durability, Persistence
from plugin_pool.lease import Lease
from plugin_pool.orchestrator import Action, Orchestrator, OrchestratorState
from plugin_pool.pool import ResourcePool
from plugin_pool.records import (
    AllocationResult,
    AllocationStatus,
    BlockedReason,
    Capability,
    CapabilityRequirement,
    CatalogEntry,
    CheckResult,
    ReleaseReason,
    ResourceInstance,
    ResourceRequirement,
    StatusReport,
    TaskResourceAllocation,
    Tier,
)
from plugin_pool.request import Request
from plugin_pool.rules import RULES, Rule
from plugin_pool.strategies import BestFit, FirstFit
from plugin_pool.watcher import Watcher

__all__ = [
    "RULES",
    "Action",
    "AllocationResult",
    "AllocationStatus",
    "BestFit",
    "BlockedReason",
    "Capability",
    "CapabilityRequirement",
    "CatalogEntry",
    "CheckResult",
    "DeadlockError",
    "Durability",
    "Explanation",
    "FirstFit",
    "Lease",
    "Orchestrator",
    "OrchestratorState",
    "Persistence",
    "ReleaseReason",
    "Request",
    "ResourceInstance",
    "ResourcePool",
    "ResourceRequirement",
    "Rule",
    "ShortageError",
    "StateError",
    "StatusReport",
    "TaskResourceAllocation",
    "Tier",
    "Watcher",
    "infer_resource_requirements",
]
