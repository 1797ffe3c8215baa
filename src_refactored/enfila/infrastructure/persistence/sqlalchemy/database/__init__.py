"""How statements are run: connections, transactions, instants, errors."""
