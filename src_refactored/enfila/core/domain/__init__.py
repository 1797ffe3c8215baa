"""Entities and value objects. No async, no I/O, no clock: an instant is always an argument."""
