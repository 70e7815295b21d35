"""What the values of a column stand for, beyond how they are stored: decided from its profile and a few of its values.

The first rule that holds decides. A type that changes how a model or a person would treat the column (an identifier, an
amount of money, a place) is given only for values of its form, or for a name that says so and values that can be it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from tidemill.core.schema import SemanticType
from tidemill.data.country_codes import ALPHA_2, ALPHA_3
from tidemill.data.number_types import NumberType, Seen, number_type
from tidemill.data.personal_forms import EMAIL, IPV4, IPV6, PHONE
from tidemill.data.profile import ColumnProfile
from tidemill.data.sampling import sampled

#: What a column can stand for; numbers have the types of `NumberType` as well.
SemanticKind: TypeAlias = (
    NumberType
    | Literal[
        "empty", "constant", "category", "text", "email", "url", "ip address", "phone number", "country code",
        "coordinates", "json", "date", "duration", "nested", "binary", "object",
    ]
)  # fmt: skip

#: So many values, spread over the table, are looked at; so many of their distinct ones must have a form.
_VALUES, _OF_A_FORM = 1_000, 0.95
#: Numbers that are written as text may have this share of others among them.
_NUMBERS = 0.95
#: A column that is different in nearly every row, of so many rows at least, names them.
_FEWEST_ROWS, _NEARLY_ALL = 10, 0.99
_LONGEST_NAME, _WORDS_OF_TEXT, _LETTERS_OF_TEXT = 40, 3.0, 50
_DOCUMENTS = 50
_ABSENT = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", ".", "missing", "unknown", "#n/a"})
_NAMES_ROWS = frozenset({"id", "ids", "uid", "uuid", "guid", "pk", "key", "code", "isbn", "sku", "ssn", "iban", "vin"})
_COUNTRIES = frozenset({"country", "countries", "nation", "nationality", "cntry", "iso", "iso2", "iso3", "cc"})
_FLAGS = frozenset(
    map(frozenset, (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("0", "1")))
)
#: What each type is to a model; the others are nothing that a model takes as it is.
_ROLES: dict[str, SemanticType] = {
    "boolean": "flag", "identifier": "id", "ordinal": "category", "category": "category", "count": "count",
    "country code": "category", "text": "text", "date": "time", "time": "time",
    **dict.fromkeys(("number", "money", "percentage", "year", "time part", "clock time", "duration"), "quantity"),
    **dict.fromkeys(("latitude", "longitude"), "quantity"),
    **dict.fromkeys(("email", "url", "ip address", "phone number"), "id"),
}  # fmt: skip
_CURRENCY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY)"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_HEX = "[0-9a-f]"

#: Forms of text: the type, the expression that each value matches as a whole, and how people call it.
_FORMS: tuple[tuple[SemanticKind, str, str], ...] = (
    ("email", EMAIL, "e-mail addresses"),
    ("url", r"(?i)(?:https?|ftp|s3|gs|hdfs)://\S+", "URLs"),
    ("ip address", IPV4, "IPv4 addresses"),
    ("ip address", IPV6, "IPv6 addresses"),
    ("identifier", rf"(?i)\{{?{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}\}}?", "UUIDs"),
    ("identifier", rf"(?i){_HEX}{{32}}|{_HEX}{{40}}|{_HEX}{{64}}", "digests"),
    ("time", r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T ]\d{1,2}:\d{2}.*", "dates with a time, as text"),
    ("date", r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", "dates, as text"),
    ("date", rf"(?i)(?:\d{{1,2}}[ -])?{_MONTH}\.?[ -](?:\d{{1,2}},?[ -])?\d{{2,4}}", "dates, as text"),
    ("clock time", r"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?", "times of day, as text"),
    ("percentage", r"[-+]?\d+(?:[.,]\d+)?\s?%", "numbers with a percent sign"),
    (
        "money",
        rf"[-+(]?\s?{_CURRENCY}\s?\d[\d.,' ]*\)?|[-+]?\d[\d.,' ]*\s?{_CURRENCY}",
        "amounts with a currency",
    ),
    ("coordinates", r"-?\d{1,3}\.\d+\s*[,; ]\s*-?\d{1,3}\.\d+|(?i)point\s*\(.*\)", "pairs of coordinates"),
    ("phone number", PHONE, "phone numbers"),
)
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Semantic:
    """What a column stands for, and why that is believed.

    Parameters
    ----------
    type
        See `SemanticKind`.
    evidence
        What decided, in a few words.
    """

    type: SemanticKind
    evidence: str

    @property
    def role(self) -> SemanticType:
        """What that is to a model, in the words of a table's schema.

        >>> Semantic("money", "its name says 'price'").role
        'quantity'
        """
        return _ROLES.get(self.type, "unknown")


def semantic_types(profiles: Sequence[ColumnProfile], sample: pl.DataFrame) -> dict[str, Semantic]:
    """What each column stands for.

    Parameters
    ----------
    profiles
        The profile of each column over the whole table.
    sample
        Rows of the table, at least those columns.

    Examples
    --------
    >>> from tidemill.data.profile import measure_column
    >>> table = pl.DataFrame({"mail": ["ann@mill.org", "ben@mill.org"] * 9, "price": [3.5, 4.0, 4.5] * 6})
    >>> found = semantic_types([measure_column(column).profile for column in table], table)
    >>> found["mail"].type, found["price"].type
    ('email', 'money')
    """
    rows = sampled(sample, _VALUES)
    return {profile.name: semantic_type(profile, rows[profile.name]) for profile in profiles}


def semantic_type(profile: ColumnProfile, values: pl.Series) -> Semantic:
    """What a column stands for.

    Parameters
    ----------
    profile
        Of the whole column.
    values
        Some of its values.
    """
    present = profile.rows - profile.nulls
    if not present:
        return Semantic("empty", "no row has a value")
    dtype = values.dtype
    if dtype.is_nested():
        return Semantic("nested", f"each value is a {profile.type.partition('[')[0]}")
    if dtype in (pl.Binary, pl.Object):
        return Semantic("binary" if dtype == pl.Binary else "object", "by its type")
    if profile.distinct == 1 and present > 1:
        return Semantic("constant", "the same value wherever there is one")
    if dtype == pl.Boolean:
        return Semantic("boolean", "by its type")
    if dtype.is_temporal():
        return _moment(values)
    if dtype.is_numeric():
        seen = Seen(_words(profile.name), values.drop_nulls(), profile.distinct, present, profile.nulls)
        return Semantic(*number_type(seen, profile.minimum, profile.maximum))
    return _text(profile, values.drop_nulls().cast(pl.String), present)


def _moment(values: pl.Series) -> Semantic:
    if values.dtype == pl.Date:
        return Semantic("date", "by its type")
    if values.dtype == pl.Datetime:
        known = values.drop_nulls()
        midnight = len(known) > 0 and bool((known == known.dt.truncate("1d")).all())
        return Semantic("date", "all times are midnight") if midnight else Semantic("time", "by its type")
    return Semantic("clock time" if values.dtype == pl.Time else "duration", "by its type")


def _text(profile: ColumnProfile, values: pl.Series, present: int) -> Semantic:
    """The rules of text, in their order."""
    words = values.str.strip_chars().unique(maintain_order=True)
    words = words.filter(~words.str.to_lowercase().is_in(list(_ABSENT)))
    if words.is_empty():
        return Semantic("empty", "every value seen stands for a missing one")
    for rule in (_form(words), _document(words), _flag(words), _written_number(profile, words, present)):
        found = next(rule, None)
        if found is not None:
            return found
    return next(_country(profile, words), None) or _name_or_text(profile, words, present)


def _form(words: pl.Series) -> Iterator[Semantic]:
    for kind, form, called in _FORMS:
        flags, inner = ("(?i)", form.replace("(?i)", "")) if "(?i)" in form else ("", form)
        share = words.str.contains(f"{flags}^(?:{inner})$").mean()
        if isinstance(share, float) and share >= _OF_A_FORM:
            yield Semantic(kind, f"{share:.0%} of {len(words):,} distinct values seen are {called}")


def _document(words: pl.Series) -> Iterator[Semantic]:
    if words.str.contains(r"(?s)^[\[{].*[\]}]$").all() and all(map(_is_json, words.head(_DOCUMENTS))):
        yield Semantic("json", f"{min(len(words), _DOCUMENTS)} values seen can be read as JSON")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _flag(words: pl.Series) -> Iterator[Semantic]:
    if len(words) <= 4 and frozenset(words.str.to_lowercase()) in _FLAGS:
        yield Semantic("boolean", f"its values are {' and '.join(sorted(words))}")


def _written_number(profile: ColumnProfile, words: pl.Series, present: int) -> Iterator[Semantic]:
    numbers = words.filter(words.str.contains(f"^(?:{_NUMBER})$"))
    if len(numbers) < _NUMBERS * len(words):
        return
    if numbers.str.contains(r"^0\d").any():
        unique = profile.distinct == present >= _FEWEST_ROWS
        yield Semantic("identifier" if unique else "category", "digits with zeros before them: a code")
        return
    read = numbers.cast(pl.Float64, strict=False).drop_nulls()
    if read.is_empty():
        return
    seen = Seen(_words(profile.name), read, profile.distinct, present, profile.nulls)
    kind, why = number_type(seen, read.min(), read.max())
    yield Semantic(kind, f"{why}; written as text")


def _country(profile: ColumnProfile, words: pl.Series) -> Iterator[Semantic]:
    if not _COUNTRIES & _words(profile.name) or len(words) < 2:
        return
    for codes, called in ((ALPHA_2, "two"), (ALPHA_3, "three")):
        share = words.str.to_uppercase().is_in(list(codes)).mean()
        if isinstance(share, float) and share >= _OF_A_FORM:
            yield Semantic("country code", f"ISO 3166 codes of {called} letters, and the name says so")


def _name_or_text(profile: ColumnProfile, words: pl.Series, present: int) -> Semantic:
    """What is left: names of rows, free text, and categories."""
    share = profile.distinct / present
    letters = float(words.str.len_chars().mean() or 0.0)  # type: ignore[arg-type]
    spaces = float(words.str.count_matches(r"\S+").mean() or 0.0)  # type: ignore[arg-type]
    short = letters <= _LONGEST_NAME and spaces < 1.5
    told = bool(_NAMES_ROWS & _words(profile.name))
    if short and present >= _FEWEST_ROWS and (profile.distinct == present or (told and share >= _NEARLY_ALL)):
        return Semantic("identifier", "a short text that is different in (nearly) every row")
    if letters >= _LETTERS_OF_TEXT or (share > 0.5 and spaces >= 1.5) or (share > 0.1 and spaces >= _WORDS_OF_TEXT):
        return Semantic("text", f"{spaces:.1f} words a value, {share:.0%} of the values differ")
    if told and share > 0.5:
        return Semantic("identifier", "its name says so, and most values differ")
    if share > 0.5 and present >= _FEWEST_ROWS:
        return Semantic("text", f"{share:.0%} of the values differ")
    return Semantic("category", f"{profile.distinct:,} distinct values in {present:,} rows")


def _words(name: str) -> frozenset[str]:
    """The words of a column's name, in small letters.

    >>> sorted(_words("userId_2")), sorted(_words("US Gross")), sorted(_words("HTTPStatus"))
    (['2', 'id', 'user'], ['gross', 'us'], ['http', 'status'])
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)
    return frozenset(part.lower() for part in parts)


def counted(types: Mapping[str, Semantic]) -> dict[str, int]:
    """How many columns are of each type, the most frequent first.

    >>> counted({"a": Semantic("number", ""), "b": Semantic("text", ""), "c": Semantic("number", "")})
    {'number': 2, 'text': 1}
    """
    tally: dict[str, int] = {}
    for found in types.values():
        tally[found.type] = tally.get(found.type, 0) + 1
    return dict(sorted(tally.items(), key=lambda item: (-item[1], item[0])))
