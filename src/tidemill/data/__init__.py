"""From any table to rows that a model may learn from: sources come in; checked, repaired, joined, split tables go out.

One verb per module: `read`, `explore`, `validate` (against a `contract`, which `infer` proposes), `clean` (by
`operations`), `enrich`, `availability` (leaks), `split`; `repairs` learn from training rows. Names are
imported from their modules, so that serving, which replays repairs, loads no table library.
"""
