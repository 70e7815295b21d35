"""Predictions made before they are asked for: a source in, a table of predictions keyed by entity and time out.

`job.score` is the verb. `cells` reads text, `columns` recognises rows in order by whole columns, `answers` decides by
whole columns; `scorer` joins them with the row validator into what `judged` holds, for tables as for files of rows.
`tables` finds the module that writes and reads a kind of target.
"""
