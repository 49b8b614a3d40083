"""Child processes and threads as resources."""

from plugin_process.input import Input
from plugin_process.limits import Limit
from plugin_process.output import Output
from plugin_process.process import LocalProcess
from plugin_process.provider import ProcessProvider
from plugin_process.settings import ProcessSettings
from plugin_process.thread import ThreadResource
from plugin_process.usage import ResourceUse

__all__ = [
    "Input",
    "Limit",
    "LocalProcess",
    "Output",
    "ProcessProvider",
    "ProcessSettings",
    "ResourceUse",
    "ThreadResource",
]
