"""Queues and workers on SQLAlchemy."""
