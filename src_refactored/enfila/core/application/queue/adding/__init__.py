"""How new jobs get into a queue."""
