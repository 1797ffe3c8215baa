"""The data of a storage in memory, and its tables."""
