"""What use cases need of asyncio and of threads."""
