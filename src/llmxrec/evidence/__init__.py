"""What is true of a recommendation, and worth saying."""
