"""Labels where there are none: votes of rules or people come in; one label per row, with how sure it is, goes out.

`weak` combines the votes of labelling functions; `choosing` says which rows a person should label next.
"""
