"""The library by hand, in a notebook or a script: one method per stage, and what each returns shows itself."""
