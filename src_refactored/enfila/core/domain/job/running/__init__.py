"""A run: its claim and lock, what it says, how it ends."""
