"""The chart, and the typed values that it is written from."""
