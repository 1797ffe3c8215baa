"""Identifiers of jobs, workers and tenants, and the token of a lock."""

from __future__ import annotations

import uuid
from typing import Final, NewType

from enfila.core.domain.checking import text
from enfila.core.domain.errors import InvalidRequest

JobId = NewType("JobId", str)
"""A UUIDv7 in its canonical text form; later jobs have larger ids."""

WorkerId = NewType("WorkerId", str)
"""A UUID in its canonical text form, fresh for each start of a worker."""

LockToken = NewType("LockToken", int)
"""The fencing token. It grows by one with every claim of a job; an older one is not accepted."""

NO_TOKEN: Final = LockToken(0)

LONGEST_TENANT: Final = 255

UUID7_RANDOM_BITS: Final = 74
"""Bits of a UUIDv7 below its 48 bits of milliseconds, version and variant left out."""


def uuid7(value: int) -> JobId:
    """Makes a UUIDv7 (RFC 9562, section 5.7) from a time and random bits.

    48 bits of milliseconds since 1970, then 12 and 62 random bits.
    """
    time, above, below = value >> 74, (value >> 62) & 0xFFF, value & ((1 << 62) - 1)
    text = f"{time << 80 | (0x7000 | above) << 64 | 1 << 63 | below:032x}"
    return JobId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def job_id(value: str | uuid.UUID) -> JobId:
    """Parses the id of a job.

    Raises:
        InvalidRequest: it is not a UUID.
    """
    return JobId(_uuid("job_id", value, "the id of a job"))


def checked_worker_id(value: str | uuid.UUID) -> WorkerId:
    """Parses the id of a worker.

    Raises:
        InvalidRequest: it is not a UUID.
    """
    return WorkerId(_uuid("worker_id", value, "the id of a worker"))


def _uuid(field: str, value: str | uuid.UUID, what: str) -> str:
    try:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str.__str__(value)))
    except (ValueError, TypeError):
        raise InvalidRequest(field, value, f"give {what}, a UUID") from None


def new_worker_id() -> WorkerId:
    """Makes a random UUID for one start of a worker."""
    return WorkerId(str(uuid.uuid4()))


def checked_tenant(value: str) -> str:
    """Validates the name of a tenant.

    Raises:
        InvalidRequest: not text of 1 to 255 characters, or with characters that cannot be stored.
    """
    return text("tenant", value, LONGEST_TENANT, shortest=1)
