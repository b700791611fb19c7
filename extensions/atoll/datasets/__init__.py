"""Datasets: names for data the platform can reach, with schema and a stored sample."""
