"""Use cases. They import the domain and their own ports, never an adapter."""
