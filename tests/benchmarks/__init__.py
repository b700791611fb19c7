"""The figures: every benchmark in one run, peers beside us, printed as ratios."""
