"""The job entity: its states, the allowed transitions, and the rules for them."""
