"""How statements are run: connections, transactions, clock, errors."""
