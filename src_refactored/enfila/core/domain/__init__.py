"""Entities and value objects: no async code, no I/O, no clock. The time is always an argument."""
