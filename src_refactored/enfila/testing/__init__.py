"""For the tests of programs that use enfila."""

from enfila.testing.accelerated_clock import AcceleratedClock
from enfila.testing.frozen_clock import FrozenClock

__all__ = ["AcceleratedClock", "FrozenClock"]
