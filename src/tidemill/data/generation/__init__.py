"""How made-up tables are drawn and real ones damaged: kinds of columns and disturbances as records, seeded draws.

A `TableSpec` (or a table to disturb) comes in, columns go out; the verbs are `tidemill.data.generate` and
`tidemill.data.disturb`.
"""
