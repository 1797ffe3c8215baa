"""Jobs on their way to workers, and what becomes of them."""
