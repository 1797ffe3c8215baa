"""What the application asks of the world, one port per file; each docstring is the contract."""
