# A worker in a container; with `python examples/queue_usage_example.py` as command, the demo.
FROM python:3.13-slim

# Times in logs, and no compiled files for a file system that may be read-only.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1

RUN useradd --create-home --uid 10001 enfila
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src_refactored ./src_refactored
RUN pip install '.[postgresql,rich]'
COPY examples ./examples

USER enfila
WORKDIR /app/examples
# Python is process 1, so SIGTERM reaches it: running jobs finish.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "enfila.entrypoints.processes", "container_worker:work", "--processes", "1"]
