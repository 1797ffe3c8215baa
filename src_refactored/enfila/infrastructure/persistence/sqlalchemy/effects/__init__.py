"""What a move of a job sets in motion, in the transaction that writes it."""
