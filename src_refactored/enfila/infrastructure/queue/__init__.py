"""The queue over any job repository."""
