"""Files, temporary files and directories as resources, with their size really reserved."""

from plugin_file.directory import LocalDirectory
from plugin_file.local import LocalFile
from plugin_file.provider import FileProvider
from plugin_file.replacement import ReplacementFile
from plugin_file.temp import TempFile

__all__ = ["FileProvider", "LocalDirectory", "LocalFile", "ReplacementFile", "TempFile"]
