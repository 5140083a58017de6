"""Datasets: readers, checks, the leave-one-out split, and the bundled demo."""
