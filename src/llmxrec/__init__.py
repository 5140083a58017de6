"""Tell people why something was recommended to them, for any recommender, in words that can be checked."""

__version__ = "0.1.0"
