"""Text that looks personal and belongs to nobody."""

from __future__ import annotations

import numpy as np
import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation.randomness import Floats, uniforms
from tidemill.data.generation.shapes import PersonPart

_FIRST = (
    "Ada Amir Ana Anton Aya Bela Bruno Carla Chen Clara Dana David Elif Emil Emma Eva Farid Finn Grace Hana Hugo Ida "
    "Imani Ines Ivan Jana Jonas Kai Kemal Lars Leila Liam Lina Maja Marco Maya Mila Nadia Nils Noor Olga Omar Otto "
    "Paula Priya Ravi Rosa Sami Sofia Sven Tara Theo Uma Viktor Wanda Yara Yusuf Zoe"
).split()
_LAST = (
    "Abel Adeyemi Ahmadi Andersen Becker Bianchi Bosch Castillo Costa Demir Dubois Eriksen Farkas Fischer Garcia Haas "
    "Hansen Horvat Ito Ivanova Jansen Kaya Keller Khan Kim Klein Kowalski Kumar Lambert Larsen Lopez Marino Meyer "
    "Moreau Nagy Nguyen Novak Okafor Olsen Patel Pereira Petrov Rossi Sato Schmid Silva Singh Suzuki Tanaka Torres "
    "Vasquez Virtanen Weber Wolf Yilmaz Zhang"
).split()
_STREETS = (
    "Mill Harbour Garden Station Church Market River Tide Park Forest Hill Bridge Meadow Orchard Quay Tower".split()
)
_CITIES = "Northport Millbrook Easthaven Riverton Oldbridge Saltmarsh Westmoor Greenfield Stonewick Fairquay".split()
_DOMAINS = ("example.com", "example.org", "example.net")


def personal(part: PersonPart, rows: int, *stream: object) -> pl.Series:
    """One part of as many invented people as there are rows; parts drawn from one stream belong together.

    >>> personal("name", 1, 0)[0].split()[0].lower() == personal("email", 1, 0)[0].split(".")[0]
    True
    """

    def drawn(name: str) -> Floats:
        return uniforms(rows, *stream, "person", name)

    first, last = _pick(_FIRST, drawn("first")), _pick(_LAST, drawn("last"))
    if part in ("first_name", "last_name"):
        return first if part == "first_name" else last
    if part == "name":
        return first + " " + last
    number = pl.Series((drawn("number") * 10_000).astype(np.int64))
    if part == "email":
        text = first.str.to_lowercase() + "." + last.str.to_lowercase() + number.cast(pl.String)
        return text + "@" + _pick(_DOMAINS, drawn("domain"))
    if part == "phone":
        return "+1 " + _digits(200 + number % 700, 3) + " 555 01" + _digits(number % 100, 2)
    if part == "street":
        return (number % 200 + 1).cast(pl.String) + " " + _pick(_STREETS, drawn("street")) + " Street"
    if part == "city":
        return _pick(_CITIES, drawn("city"))
    if part == "postcode":
        return _digits(number * 7 % 100_000, 5)
    raise ConfigError("no such part of a person", value=part, hint="Use name, email, phone, street, city, postcode.")


def patterned(pattern: str, rows: int, *stream: object) -> pl.Series:
    r"""Text by a pattern: ``#`` is a digit, ``?`` a capital.

    >>> patterned("N##", 1, 0).str.contains(r"^N\d\d$")[0]
    True
    """
    letters = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
    out = pl.Series([""]).new_from_index(0, rows)
    for place, character in enumerate(pattern):
        if character in "#?":
            out = out + _pick(
                tuple("0123456789") if character == "#" else letters, uniforms(rows, *stream, "character", place)
            )
        else:
            out = out + character
    return out


def _pick(words: tuple[str, ...] | list[str], drawn: Floats) -> pl.Series:
    return pl.Series(words, dtype=pl.String).gather((drawn * len(words)).astype(np.int64))


def _digits(numbers: pl.Series, width: int) -> pl.Series:
    return numbers.cast(pl.String).str.zfill(width)
