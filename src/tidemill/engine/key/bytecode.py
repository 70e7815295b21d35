"""A digest of code objects that does not depend on files, lines or the hash seed."""

from __future__ import annotations

from types import CodeType

from tidemill.core.digests import digest_bytes


def code_digest(code: CodeType) -> str:
    r"""The digest of what a code object does: instructions, names and constants, without lines and file name.

    >>> one = compile("f = lambda x: x in {1, 2}", "one.py", "exec")
    >>> two = compile("\n\nf = lambda x: x in {1, 2}", "two.py", "exec")
    >>> code_digest(one) == code_digest(two)
    True
    """
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    handlers: bytes = getattr(code, "co_exceptiontable", b"")
    constants = "\n".join(_constant(constant) for constant in code.co_consts)
    return digest_bytes(code.co_code, handlers, repr((counts, names)).encode(), constants.encode("utf-8", "replace"))


def _constant(value: object) -> str:
    if isinstance(value, CodeType):
        return f"code {code_digest(value)}"
    if isinstance(value, tuple):
        return f"({', '.join(_constant(item) for item in value)})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(_constant(item) for item in value))}}}"
    return f"{type(value).__name__} {value!r}"
