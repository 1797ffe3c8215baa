"""Jobs: their rows, and the statements that every database shares."""
