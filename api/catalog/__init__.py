"""The models, and what a request would cost."""
