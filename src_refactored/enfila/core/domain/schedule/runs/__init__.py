"""The runs of schedules, and their statistics."""
