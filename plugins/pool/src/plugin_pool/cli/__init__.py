"""The commands of the plugin `pool`. Each module is imported only when a command is about to run."""
