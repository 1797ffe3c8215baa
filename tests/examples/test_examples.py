"""The examples, as a reader runs them: each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DEMO = EXAMPLES / "queue_usage_example.py"
TRANSACTIONS = EXAMPLES / "transactional_enqueue.py"
TESTING = EXAMPLES / "test_without_a_database.py"
CONTAINER = EXAMPLES / "container_worker.py"
PROCESSES = EXAMPLES / "many_processes.py"
JOB_TYPES = EXAMPLES / "job_types_example.py"
SCHEDULES = EXAMPLES / "scheduler_example.py"
INTERCEPTORS = EXAMPLES / "interceptors.py"

SECONDS_FOR_A_DEMO = 20
SECONDS_FOR_THE_OTHERS = 20


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a CI job: no terminal, a width that nobody set, temporary files where we see them."""
    terminal = {"COLUMNS", "LINES", "TERM", "FORCE_COLOR", "NO_COLOR"}
    inherited = {name: value for name, value in os.environ.items() if name not in terminal}
    return inherited | {"TMPDIR": str(tmp_path), "PYTHONUTF8": "1"}


def run(
    *command: str | Path, environment: dict[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        env=environment,
        cwd=ROOT,
        check=False,
    )


# ── the demo ─────────────────────────────────────────────────────────────────────────────────


def check_demo(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout
    lines = demo.stdout.splitlines()
    for told in (
        'job.completed  password    "sent to bob@example.org"',
        "job.progress   cover       sketched",
        "job.log        catalogue   page 3 is dry",
        "job.cancelled  audiobook   the reader has a cold",
        "job.retrying   payment     after ConnectionError: the bank does not answer",
        "job.failed     prices      Unrecoverable: cat.jpg is no price list",
        "job.stalled    stock       its worker vanished, it is waiting again",
        'job.completed  stock       {"books": 2000}',
        "worker.closed              holds nothing any more",
    ):
        assert any(line.endswith(told) for line in lines), (told, demo.stdout)
    assert sum(line.startswith(" ✓  ") for line in lines) == 16 + 6, demo.stdout
    assert not any("✗" in line for line in lines), demo.stdout
    assert lines[-1] == "All is well."


@pytest.mark.slow
@pytest.mark.processes
def test_the_demo_plays_to_a_good_end(environment: dict[str, str], tmp_path: Path) -> None:
    check_demo(run(DEMO, environment=environment, timeout=SECONDS_FOR_A_DEMO))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.processes
def test_the_demo_plays_on_postgresql(environment: dict[str, str], postgres_url: str) -> None:
    url = ("--url", postgres_url)
    check_demo(run(DEMO, *url, environment=environment, timeout=SECONDS_FOR_A_DEMO))


@pytest.mark.slow
@pytest.mark.processes
def test_the_demo_says_what_became_otherwise(environment: dict[str, str], tmp_path: Path) -> None:
    story = DEMO.read_text("utf-8")
    assert story.count('says="paid"') == 1
    other = tmp_path / "other.py"
    other.write_text(story.replace('says="paid"', 'says="refused"'), "utf-8")

    demo = run(other, environment=environment, timeout=SECONDS_FOR_A_DEMO)

    assert demo.returncode == 1, demo.stdout
    assert "payment should be completed after 3 attempt(s), and say 'refused'" in demo.stdout
    assert demo.stdout.count("✗") == 1


@pytest.mark.slow
@pytest.mark.processes
def test_ctrl_c_ends_the_demo(environment: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, DEMO],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # Ctrl-C is ignored by what a shell starts in the background, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call
    ) as demo:
        try:
            assert demo.stdout
            assert any("worker.ready" in line for line in demo.stdout)
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=SECONDS_FOR_A_DEMO)
        finally:
            demo.kill()

    assert demo.returncode == 130, rest
    assert rest.splitlines()[-1] == "interrupted"
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_the_demo_refuses_an_unknown_database(environment: dict[str, str]) -> None:
    url = ("--url", "oracle://scott@tiger")
    demo = run(DEMO, *url, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert demo.returncode == 2
    assert demo.stdout.startswith("url: 'oracle://scott@tiger' is not allowed")


# ── jobs in transactions ─────────────────────────────────────────────────────────────────────

TRUE_OF_TRANSACTIONS = """\
✓ Before the commit there is no job.
✓ After it the job runs, and finds its order.
✓ After a rollback there is no job.
✓ And no order.
"""


def test_jobs_come_and_go_with_a_session(environment: dict[str, str], tmp_path: Path) -> None:
    example = run(TRANSACTIONS, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert (example.returncode, example.stdout) == (0, TRUE_OF_TRANSACTIONS)
    assert list(tmp_path.iterdir()) == []


def test_jobs_come_and_go_with_an_async_session(
    environment: dict[str, str], postgres_url: str
) -> None:
    url = ("--url", postgres_url)
    example = run(TRANSACTIONS, *url, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert (example.returncode, example.stdout) == (0, TRUE_OF_TRANSACTIONS)


# ── job types ────────────────────────────────────────────────────────────────────────────────

TRUE_OF_JOB_TYPES = (
    "✓ A test runs a type without a queue.",
    "✓ One worker serves both queues, and results are rebuilt.",
    "✓ A disabled type stays in line.",
    "✓ And runs once it is enabled.",
    "✓ Runs are counted, the failed ones too.",
)


def check_job_types(example: subprocess.CompletedProcess[str]) -> None:
    assert example.returncode == 0, example.stdout
    lines = example.stdout.splitlines()
    assert [claim for claim in TRUE_OF_JOB_TYPES if claim not in lines] == []
    assert "did you mean 'shop:confirm'?" in example.stdout


def test_job_types_are_shown_on_a_file(environment: dict[str, str], tmp_path: Path) -> None:
    check_job_types(run(JOB_TYPES, environment=environment, timeout=SECONDS_FOR_THE_OTHERS))
    assert list(tmp_path.iterdir()) == []


def test_job_types_are_shown_on_postgresql(environment: dict[str, str], postgres_url: str) -> None:
    url = ("--url", postgres_url)
    check_job_types(run(JOB_TYPES, *url, environment=environment, timeout=SECONDS_FOR_THE_OTHERS))


# ── interceptors ─────────────────────────────────────────────────────────────────────────────


def test_tenants_and_log_context_are_shown(environment: dict[str, str]) -> None:
    example = run(INTERCEPTORS, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert example.returncode == 0, example.stdout
    assert sorted(example.stdout.splitlines()) == [
        "[invoice, attempt 1] invoice 1 for acme",
        "[invoice, attempt 1] invoice 2 for globex",
        "[label, attempt 1] label 3 for globex",
        "refused: no job without a tenant",
        "✓ A job without a tenant was not added.",
        "✓ Each job ran for the tenant that added it.",
    ]


# ── many processes ───────────────────────────────────────────────────────────────────────────


@pytest.mark.processes
def test_the_job_of_a_killed_process_runs_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    example = run(PROCESSES, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert example.returncode == 0, example.stdout
    assert "was killed by SIGKILL. Another one starts at once." in example.stdout
    assert [line for line in example.stdout.splitlines() if line.startswith("✓")] == [
        "✓ Another process runs the job again.",
        "✓ All have ended as they were told to.",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_the_worker_of_the_container_runs_a_job(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"ENFILA_DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db"}
    command = ("-m", "enfila.entrypoints.processes", "container_worker:work", "--processes", "1")
    with subprocess.Popen([sys.executable, *command], env=environment, cwd=EXAMPLES) as worker:
        try:
            limit = SECONDS_FOR_THE_OTHERS
            added = run(CONTAINER, environment=environment, timeout=limit)
            assert (added.returncode, added.stdout) == (0, "sent to ada@example.org\n")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=limit) == 0
        finally:
            worker.kill()


# ── schedules ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.processes
def test_a_day_of_schedules_passes_in_seconds(environment: dict[str, str], tmp_path: Path) -> None:
    example = run(SCHEDULES, environment=environment, timeout=SECONDS_FOR_A_DEMO)
    assert example.returncode == 0, example.stdout
    ticks = [line.strip() for line in example.stdout.splitlines() if line.startswith("  ")]
    assert ticks[:3] == ["Mon 12:00  pipeline", "Mon 18:00  pipeline", "Mon 20:00  pipeline"]
    assert sum(line.startswith("✓") for line in example.stdout.splitlines()) == 6
    assert list(tmp_path.iterdir()) == []


# ── tests of one's own code ──────────────────────────────────────────────────────────────────


def test_the_example_of_a_test_runs_as_a_script(environment: dict[str, str]) -> None:
    example = run(TESTING, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert example.returncode == 0, example.stdout
    assert [line.split(":")[0] for line in example.stdout.splitlines()] == ["passed"] * 3


def test_the_example_of_a_test_runs_in_pytest(environment: dict[str, str]) -> None:
    pytest_alone = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    example = run(*pytest_alone, TESTING, environment=environment, timeout=SECONDS_FOR_THE_OTHERS)
    assert example.returncode == 0, example.stdout
    assert "3 passed" in example.stdout
