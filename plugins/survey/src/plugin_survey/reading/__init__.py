"""Finding files, and reading each that is not known already: walk, fingerprint, recall."""
