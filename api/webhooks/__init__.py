"""What providers report: verified, pinned to an attempt, and kept until its workflow has it."""
