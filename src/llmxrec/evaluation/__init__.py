"""How good explanations are: what a judge or a person says of them, whether to believe it, and what is wrong with them."""
