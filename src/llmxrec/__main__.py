"""`python -m llmxrec` is `llmxrec`."""

from llmxrec.cli import main

main()
