"""The pure heart: the domain decides, the application orchestrates."""
