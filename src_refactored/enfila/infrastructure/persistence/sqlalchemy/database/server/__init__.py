"""Databases on a server: pools of connections, and what is done when it is silent."""
