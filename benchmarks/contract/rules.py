"""The 20 rules that every validator checks: missing values, ranges, a set, a pattern, a key and a comparison."""

CARRIERS = ("AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN", "9E", "F9")
NOT_MISSING = ("id", "hour", "distance", "price", "carrier")
#: Column, minimum, maximum (None for no bound).
RANGES = (
    ("hour", 0, 23), ("distance", 1, 5000), ("count", 0, 1000), ("price", 0, None), ("share", 0, 1), ("gaps_a", -99, 99)
)  # fmt: skip
PATTERN = ("tail", "N[0-9]+UA")
KEY = "id"
#: ``follows`` is below this where a row is not ``late``.
BELOW = 100
