"""One worker for the job types of many queues."""
