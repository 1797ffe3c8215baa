"""Programs around enfila: each imports the application and the core, never an adapter."""
