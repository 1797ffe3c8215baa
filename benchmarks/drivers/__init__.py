"""How each system is driven. Run by that system's own interpreter, so each imports only its own."""
