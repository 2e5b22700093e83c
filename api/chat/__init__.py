"""The chat front: a message in, an answer that a chat can show out."""
