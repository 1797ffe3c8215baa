"""What becomes of due ticks: misfires, overlaps, jitter."""
