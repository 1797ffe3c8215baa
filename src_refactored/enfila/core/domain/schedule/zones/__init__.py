"""Instants, time zones and daylight saving time."""
