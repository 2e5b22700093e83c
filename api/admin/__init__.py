"""What operators look at, and what they can do."""
