"""Rules that make jobs at times: triggers, time zones, policies, and the schedule that decides."""
