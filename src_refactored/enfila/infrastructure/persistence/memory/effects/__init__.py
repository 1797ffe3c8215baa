"""What a move of a job sets in motion, on dicts."""
