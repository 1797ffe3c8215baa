"""The life of a job: its states, the table of moves, and who decides them."""
