"""The models as data, and the one place that checks, translates and prices a caller's input."""
