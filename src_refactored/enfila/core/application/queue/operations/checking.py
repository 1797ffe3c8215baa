"""What callers ask for, checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from enfila.core.domain.checking import one_of, several, whole
from enfila.core.domain.errors import InvalidRequest, JobNotFound
from enfila.core.domain.job.failure import LONGEST_MESSAGE, JobError
from enfila.core.domain.job.identity import JobId, job_id as checked_id
from enfila.core.domain.job.state import JobState
from enfila.core.domain.showing import shown, storable

_STATES: Final = "a state or several, or none for all"


def checked_state(state: JobState | str) -> JobState:
    """The state that is named. `InvalidRequest` if there is none of that name."""
    return one_of("state", state, JobState)


def checked_states(states: Iterable[JobState | str] | JobState | str) -> set[JobState]:
    """One state or several; all when none is given. `InvalidRequest` for what is no state."""
    named = [states] if isinstance(states, str) else several("states", states, _STATES)
    return {checked_state(state) for state in named} or set(JobState)


def sought_id(job_id: JobId | str) -> JobId:
    """The id of a job that may not be there.

    Raises:
        JobNotFound: a text that is no id: no job has it.
        InvalidRequest: no text.
    """
    try:
        return checked_id(job_id)
    except InvalidRequest:
        if isinstance(job_id, str):
            raise JobNotFound(job_id) from None
        raise


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
