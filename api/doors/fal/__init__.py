"""fal's own clients, unchanged: its queue, its direct calls, its proxy protocol and its storage."""
