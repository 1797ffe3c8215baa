"""Adapters: each imports the core and its own technology, never another adapter."""
