"""What people do to jobs and to queues."""
