"""Tests of the datasets service over HTTP."""
