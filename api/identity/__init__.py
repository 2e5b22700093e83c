"""Who calls, what the caller may see, and how much may be asked for."""
