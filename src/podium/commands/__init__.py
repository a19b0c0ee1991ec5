"""The helpers of the command line that are no stages: one module per command, with `run`."""
