"""The processes, put together: service, cli, and the embedded supervisor."""
