"""What callers ask for, checked before anything is done."""

from __future__ import annotations

from enfila.core.domain.checking import one_of, whole
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.failure import LONGEST_MESSAGE, JobError
from enfila.core.domain.job.state import JobState
from enfila.core.domain.showing import shown, storable


def checked_state(state: JobState | str) -> JobState:
    """The state that is named. `InvalidRequest` if there is none of that name."""
    return one_of("state", state, JobState)


def checked_final_state(state: JobState | str) -> JobState:
    """The final state that is named. `InvalidRequest` for all others."""
    checked = checked_state(state)
    if not checked.is_final:
        raise InvalidRequest("state", checked.value, "give completed, failed or cancelled")
    return checked


def checked_count(field: str, value: int, *, lowest: int = 0) -> int:
    """A whole number of at least `lowest`. `InvalidRequest` for all others."""
    return whole(field, value, lowest)


def job_error(error: BaseException | JobError | str) -> JobError:
    """The error of a failed attempt, however it was given."""
    match error:
        case JobError():
            return error
        case BaseException():
            return JobError.of(error)
        case _:
            text = error if isinstance(error, str) else shown(error)
            return JobError("Error", storable(text)[:LONGEST_MESSAGE])
