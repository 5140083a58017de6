"""Conformance suites for anyone's recommender and generator."""
