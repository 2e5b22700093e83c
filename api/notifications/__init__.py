"""What a user's own backend is told: endpoints, deliveries, the event log."""
