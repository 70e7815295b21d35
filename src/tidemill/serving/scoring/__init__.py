"""Predictions made before they are asked for: a source in, a table of predictions keyed by entity and time out.

`job.score` is the verb. `columns` recognises rows in order by whole columns, `answers` decides by whole columns,
`scorer` joins the two with the row validator; `tables` finds the module that writes and reads a kind of target.
"""
