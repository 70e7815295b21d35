"""Each hot path beside a peer's, measured in one run: ``python -m benchmarks``; see ``--help``."""
