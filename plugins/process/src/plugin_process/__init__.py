"""Child processes and threads as resources."""

from plugin_process.output import Output
from plugin_process.process import LocalProcess
from plugin_process.provider import ProcessProvider
from plugin_process.settings import ProcessSettings
from plugin_process.thread import ThreadResource

__all__ = ["LocalProcess", "Output", "ProcessProvider", "ProcessSettings", "ThreadResource"]
