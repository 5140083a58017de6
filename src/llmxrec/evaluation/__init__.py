"""How good explanations are: what judges and people say of them, whether to believe it, and what is wrong."""
