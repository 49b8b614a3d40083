"""What a pool is and does in a host: its configuration, its kind, its measurements and warnings."""
