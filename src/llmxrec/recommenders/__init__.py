"""Stage 1: recommenders and their ranking metrics."""
