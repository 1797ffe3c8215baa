"""How a queue looks after itself: one duty after the other, each at its own interval."""
