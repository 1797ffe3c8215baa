"""The queue as producers and workers use it."""
