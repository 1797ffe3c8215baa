"""Conversion of durations: callers give seconds or a `timedelta`, enfila uses a `timedelta`."""

from __future__ import annotations

from datetime import timedelta

from enfila.core.domain.errors import InvalidRequest

Duration = timedelta | float | int
"""A length of time as users give it: a `timedelta`, or a number of seconds."""

ZERO = timedelta(0)
LONGEST = timedelta(days=36_500)
"""A hundred years: far enough for anyone, near enough that no database's calendar overflows."""


def duration(field: str, value: Duration, *, allow_zero: bool = True) -> timedelta:
    """Converts `value` to a `timedelta`.

    Raises:
        InvalidRequest: not a duration, negative, not finite, over a hundred years, or zero
            where zero makes no sense.
    """
    allowed = f"give seconds or a timedelta, {'0 or more' if allow_zero else 'more than 0'}"
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise InvalidRequest(field, value, allowed)
    if isinstance(value, timedelta):
        length = value
    elif not abs(value) <= LONGEST.total_seconds():  # also when it is not a number
        raise InvalidRequest(field, value, f"{allowed}, at most a hundred years")
    else:
        length = timedelta(seconds=value)
    if length < ZERO or (length == ZERO and not allow_zero):
        raise InvalidRequest(field, value, allowed)
    if length > LONGEST:
        raise InvalidRequest(field, value, f"{allowed}, at most a hundred years")
    return length
