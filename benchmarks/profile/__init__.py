"""How much a look at a table costs, beside a profiler and beside a plain scan."""
