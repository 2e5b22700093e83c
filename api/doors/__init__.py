"""Doors for existing clients: each turns a foreign protocol into the calls that our own routes make, and answers in its
words. They decide nothing."""
