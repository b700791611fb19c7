"""Jobs over HTTP, in real environments, with real kernels."""
