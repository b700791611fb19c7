"""Kubernetes' API as the platform needs it: who we are there, calls, and lists that keep themselves true."""
