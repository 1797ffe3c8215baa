"""Workers as many processes: started, replaced and stopped together."""

from enfila.entrypoints.processes.worker_processes import WorkerProcesses

__all__ = ["WorkerProcesses"]
