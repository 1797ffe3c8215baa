"""One file for each step; each has `upgrade` and `downgrade` with the schema and the prefix."""
