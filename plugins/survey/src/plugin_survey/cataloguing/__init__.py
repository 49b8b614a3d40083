"""The catalogue: its tables, and the draft in which it is brought up to date until it is published."""
