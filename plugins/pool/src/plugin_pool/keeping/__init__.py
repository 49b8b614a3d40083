"""A pool that is kept in a directory, over restarts and crashes: journal, snapshot, recovery."""
