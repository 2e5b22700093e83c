"""Jobs as they change, streamed to those who may read them."""
