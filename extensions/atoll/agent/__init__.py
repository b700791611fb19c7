"""The process on each node that can read a container's writable layer."""
