"""Labels where there are none: votes of rules or people come in; one label per row, with how sure it is, goes out.

People: `queues` and `queue` give tasks out and take answers (by `schema`, `tasks`), `agreement` and `adjudicate` say
where annotators differ and what counts, `answers` makes a table of it, `label_studio` speaks another tool's format.
Rules: `weak` combines the votes of labelling functions. Models: `choosing` says which rows a person should label next,
`mistakes` which labels are probably wrong.
"""
