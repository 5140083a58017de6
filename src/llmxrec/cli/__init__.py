"""The command line: one command per stage."""
