"""Looking into files for damage and text, in worker processes that may be lost."""
