"""What a generation costs, beside what the bare engine costs, measured in one run."""
