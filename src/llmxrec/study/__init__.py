"""The human study: people rate and compare explanations without knowing which generator wrote them."""
