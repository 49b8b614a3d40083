"""The workload that is played where no other is given."""

from __future__ import annotations

from plugin_pool.simulation import description, document
from plugin_pool.simulation.workload import Workload

EXAMPLE = """\
# Executors of which some can do everything and some only one thing, and reviewers. How fast tasks come, how long they
# take and what they need is up to you. All times are in seconds.
resources:
  - {id: all-round, count: 4, type: executor, capabilities: {web_search: 8, code_generation: 9, file_ops: 9}}
  - {id: searcher, count: 8, type: executor, capabilities: {web_search: 6}}
  - {id: coder, count: 5, type: executor, capabilities: {code_generation: 7, file_ops: 5}}
  - {id: reviewer, count: 3, type: reviewer, capabilities: {code_review: 8}}

# Without `resources:` it is those of the configuration.

arrival: {poisson: 9.5}  # so many tasks a second of all streams that have a share; or {every: 2}, a task every 2 s

streams:
  - name: search
    share: 5
    requirements: executor:web_search=5
    duration: {exponential: 1}  # a mean; or {fixed: 2}, or {uniform: [1, 3]}

  - name: code
    share: 2
    requirements: executor:code_generation=5,file_ops
    duration: {exponential: 1}

  - name: report  # which only those can write that do everything
    share: 1
    requirements: executor:web_search=5,code_generation=5
    duration: {uniform: [1, 2]}

  - name: review  # a coder and a reviewer, both or none
    arrival: {poisson: 0.3}  # of its own
    requirements: [executor:code_generation=5, reviewer]
    duration: {exponential: 3}
    priority: 1  # worth as much as having come `aging` seconds earlier

  - name: campaign
    arrival: {every: 60}
    requirements: 6*executor:web_search=5
    duration: {fixed: 2}
"""


def example() -> Workload:
    """Return the workload that is played where no other is given."""
    return description.workload(document.parse(EXAMPLE, "The example"))
