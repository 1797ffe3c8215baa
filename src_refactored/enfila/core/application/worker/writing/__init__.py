"""What a worker writes: locks, outcomes, progress, its heartbeat."""
