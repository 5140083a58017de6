"""Stage 2: generators that answer prompts."""
