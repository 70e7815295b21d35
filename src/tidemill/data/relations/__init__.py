"""What columns and rows have to do with each other: measured columns and samples come in, records go out.

`associations` between columns and with a target, `missing` values that are missing together, `coverage` of time,
`keys` that tell rows apart.
"""
