"""From any table to rows that a model may learn from: sources come in; checked, repaired, joined, split tables go out.

One verb per module: `read`, `generate`, `disturb`, `explore`, `validate` (against a `contract`, which `infer`
proposes), `suggest` and `clean` (by `operations`), `enrich`, `lookup`, `fuzzy`, `labels.weak`, `availability` (leaks),
`split`; `repairs` learn from training rows. Names are imported from their modules, so that serving, which replays
repairs, loads no table library.
"""
