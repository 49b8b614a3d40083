"""The crash-proof record of what each process holds: `Journal` writes it, `format` says what is in it."""

from framework.journal.format import Content, Entry, Target, parse, read
from framework.journal.writer import SUFFIX, Journal, directory_path, is_ours, token

__all__ = ["SUFFIX", "Content", "Entry", "Journal", "Target", "directory_path", "is_ours", "parse", "read", "token"]
