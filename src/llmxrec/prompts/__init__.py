"""Records to messages, and back."""
