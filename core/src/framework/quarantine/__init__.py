"""`Quarantine`: remembers on disk which plugin was being started, so that one that ended the interpreter is kept out.

While a plugin starts there is a marker, a file that its process holds locked. A start that ends in good order, failed
or not, removes it. A marker whose lock is free was left by a process that died in the middle: the next sweep turns it
into the record of a quarantined plugin. The lock alone decides who lives, so who runs in a container is left alone.

A crash blames the plugins whose code was running. Where none was, somebody may just have stopped the program: then all
that were being started are suspects, and are kept out when that happens to them a second time in a row.

    <process>-<number>.starting     '!' while the plugin's code runs, else '.'; JSON; a line for each phase
    <plugin>.suspected              JSON, as below; removed when a start of the plugin comes to its end
    <plugin>.quarantined            JSON: name, version, reason, since
"""

from framework.quarantine.marker import Marker
from framework.quarantine.store import Quarantine, Quarantined, Sweep, quarantined

__all__ = ["Marker", "Quarantine", "Quarantined", "Sweep", "quarantined"]
