"""Job types."""
