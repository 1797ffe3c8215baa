import uuid
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.identity import job_id, new_worker_id


def test_an_id_is_read_in_any_spelling_of_a_uuid() -> None:
    canonical = "01890a5d-ac96-774b-bcce-b302099a8057"
    for spelling in (canonical, canonical.upper(), canonical.replace("-", ""), f"{{{canonical}}}"):
        assert job_id(spelling) == canonical
    assert job_id(uuid.UUID(canonical)) == canonical


@pytest.mark.parametrize("value", ["", "not an id", None, 7, b"x"])
def test_what_is_no_uuid_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"job_id: .* give the id of a job, a UUID"):
        job_id(value)


def test_each_start_of_a_worker_has_an_id_of_its_own() -> None:
    assert new_worker_id() != new_worker_id()
    assert uuid.UUID(new_worker_id()).version == 4
