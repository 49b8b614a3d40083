"""`Resource`, what is lent; `ResourceProvider`, who lends it; `creates`, which ties a kind to a method that makes one.

A provider works alone (`initialize`, `create_…`, `cleanup`) and in a host, which gives it the host's ledger and calls
`create` with the kind. Both ways go through the same wrapper, so every resource there is has a lease.
"""

from framework.resources.provider import ResourceProvider, creates, current_owner, lease_owner
from framework.resources.resource import Resource

__all__ = ["Resource", "ResourceProvider", "creates", "current_owner", "lease_owner"]
