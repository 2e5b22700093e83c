"""Ways to carry a generation to its end: Reelay, and what one would have instead."""
