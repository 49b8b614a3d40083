"""Files and temporary files as resources, with their size really reserved."""

from plugin_file.local import LocalFile
from plugin_file.provider import FileProvider
from plugin_file.temp import TempFile

__all__ = ["FileProvider", "LocalFile", "TempFile"]
