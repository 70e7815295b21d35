"""The prediction log: every answered request, written before its answer leaves; takes records, gives tables.

A server appends to *segments* (`writer`); finished segments are sealed to Parquet (`sealing`), partitioned by model and
day, and moved to an `archive` where there is one, under the same names; `reading` sees all. The layout under the log's
folder::

    model=flight-delay/day=2026-11-23/01kg….log        open, or left behind by a server that died
    model=flight-delay/day=2026-11-23/01kf….parquet    sealed
"""
