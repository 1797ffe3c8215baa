"""Job types: named handlers with a signature, and what is known of them."""
