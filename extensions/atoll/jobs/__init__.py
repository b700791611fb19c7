"""Jobs: one run of a notebook each, owned by the platform."""
