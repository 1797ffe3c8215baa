"""Whole queues."""
