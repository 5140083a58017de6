"""The model that ships with LLMXRec: it writes sentences with slots, and the program fills in the facts."""
