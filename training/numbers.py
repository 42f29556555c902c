"""Numbers of dictation: doses, measurements, levels, dates and times, as written and as spoken."""

# ruff: noqa: SIM905 - lists of words read best as sentences

from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple


class Word(NamedTuple):
    """One written token and the words a dictating person says for it."""

    written: str
    spoken: str


ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
MONTHS = ("January February March April May June July August September October November December").split()
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
DOSES_MG = [int(dose) for dose in "5 10 20 25 40 50 75 81 100 150 200 250 300 325 400".split()]
DOSES_MG += [500, 600, 650, 750, 800, 875, 1000]
SMALL_DOSES_MG = ("0.5", "2.5", "6.25", "7.5", "12.5", "37.5")


def cardinal(value: int) -> str:
    """`cardinal(128)` is "one hundred twenty eight"."""
    if value < 20:
        return ONES[value]
    if value < 100:
        tens, rest = divmod(value, 10)
        return f"{TENS[tens]} {ONES[rest]}" if rest else TENS[tens]
    unit, name = (100, "hundred") if value < 1000 else (1000, "thousand")
    high, rest = divmod(value, unit)
    head = f"{cardinal(high)} {name}"
    return f"{head} {cardinal(rest)}" if rest else head


def ordinal(value: int) -> str:
    """`ordinal(21)` is "twenty first"; for days of a month, 1 to 31."""
    if value <= 20:
        return ORDINALS[value]
    return "thirtieth" if value == 30 else f"{TENS[value // 10]} {ORDINALS[value % 10]}"


def decimal(text: str) -> str:
    """`decimal("2.35")` is "two point three five"."""
    whole, fraction = text.split(".")
    return f"{cardinal(int(whole))} point {' '.join(ONES[int(digit)] for digit in fraction)}"


def year(value: int) -> str:
    """`year(2004)` is "two thousand four", `year(2021)` "twenty twenty one"."""
    return cardinal(value) if value < 2010 else f"twenty {cardinal(value - 2000)}"


def short_hundreds(value: int) -> str:
    """`short_hundreds(128)` is "one twenty eight", as pressures are read."""
    return f"{ONES[value // 100]} {cardinal(value % 100)}"


def _integer(rng: Random, low: int, high: int) -> tuple[Word, ...]:
    value = rng.randint(low, high)
    return (Word(str(value), cardinal(value)),)


def _percent(rng: Random, low: int, high: int) -> tuple[Word, ...]:
    value = rng.randint(low, high)
    return (Word(f"{value}%", f"{cardinal(value)} percent"),)


def _decimal(rng: Random, low: float, high: float) -> tuple[Word, ...]:
    text = f"{rng.uniform(low, high):.1f}"
    return (Word(text, decimal(text)),)


def _decimal_percent(rng: Random, low: float, high: float) -> tuple[Word, ...]:
    text = f"{rng.uniform(low, high):.1f}"
    return (Word(f"{text}%", f"{decimal(text)} percent"),)


def _age(rng: Random) -> tuple[Word, ...]:
    value = rng.randint(18, 95)
    return (Word(f"{value}-year-old", f"{cardinal(value)} year old"),)


def _blood_pressure(rng: Random) -> tuple[Word, ...]:
    high, low = rng.randint(90, 190), rng.randint(50, 110)
    plain = high < 110 or rng.random() < 0.5
    spoken = cardinal(high) if plain else short_hundreds(high)
    return (Word(f"{high}/{low}", f"{spoken} over {cardinal(low)}"),)


def _dimensions(rng: Random) -> tuple[Word, ...]:
    sides = [f"{rng.uniform(0.4, 9.5):.1f}" for _ in range(3 if rng.random() < 0.2 else 2)]
    words = [Word(sides[0], decimal(sides[0]))]
    for side in sides[1:]:
        words += [Word("x", "by"), Word(side, decimal(side))]
    return tuple(words)


def _level(rng: Random) -> tuple[Word, ...]:
    if rng.random() < 0.2:
        return (Word("L5-S1", "L five S one"),)
    letter, low, high = rng.choice((("L", 1, 4), ("C", 2, 6), ("T", 5, 11)))
    upper = rng.randint(low, high)
    spoken = f"{letter} {cardinal(upper)} {letter} {cardinal(upper + 1)}"
    return (Word(f"{letter}{upper}-{letter}{upper + 1}", spoken),)


def _date(rng: Random) -> tuple[Word, ...]:
    month, day, when = rng.choice(MONTHS), rng.randint(1, 28), rng.randint(2015, 2026)
    spoken_day = ordinal(day) if rng.random() < 0.6 else cardinal(day)
    return (Word(month, month), Word(str(day), spoken_day), Word(str(when), year(when)))


def _numeric_date(rng: Random) -> tuple[Word, ...]:
    month, day, when = rng.randint(1, 12), rng.randint(1, 28), rng.randint(2015, 2026)
    spoken = f"{cardinal(month)} slash {cardinal(day)} slash {year(when)}"
    return (Word(f"{month}/{day}/{when}", spoken),)


def _time(rng: Random) -> tuple[Word, ...]:
    hour, minute = rng.randint(1, 12), rng.choice((10, 15, 20, 30, 40, 45, 50))
    half = rng.choice(("AM", "PM"))
    clock = Word(f"{hour}:{minute}", f"{cardinal(hour)} {cardinal(minute)}")
    return (clock, Word(half, " ".join(half)))


def _year(rng: Random) -> tuple[Word, ...]:
    value = rng.randint(2001, 2025)
    return (Word(str(value), year(value)),)


def _dose(rng: Random) -> tuple[Word, ...]:
    value = rng.choice(DOSES_MG)
    return (Word(str(value), cardinal(value)),)


def _small_dose(rng: Random) -> tuple[Word, ...]:
    text = rng.choice(SMALL_DOSES_MG)
    return (Word(text, decimal(text)),)


NUMBER_SLOTS: dict[str, Callable[[Random], tuple[Word, ...]]] = {
    "n05": partial(_integer, low=0, high=5),
    "n09": partial(_integer, low=2, high=9),
    "n1": partial(_integer, low=2, high=30),
    "days": partial(_integer, low=2, high=14),
    "hr": partial(_integer, low=52, high=128),
    "rr": partial(_integer, low=12, high=28),
    "mm": partial(_integer, low=2, high=19),
    "kg": partial(_integer, low=48, high=128),
    "na": partial(_integer, low=128, high=148),
    "gluc": partial(_integer, low=70, high=390),
    "plt": partial(_integer, low=90, high=440),
    "score": partial(_integer, low=0, high=10),
    "packs": partial(_integer, low=5, high=50),
    "bmi": partial(_integer, low=19, high=44),
    "sat": partial(_percent, low=86, high=100),
    "ef": partial(_percent, low=20, high=70),
    "percent": partial(_percent, low=1, high=4),
    "temp": partial(_decimal, low=96.2, high=103.9),
    "cm": partial(_decimal, low=0.5, high=9.9),
    "hgb": partial(_decimal, low=7.1, high=16.8),
    "cr": partial(_decimal, low=0.6, high=3.9),
    "wbc": partial(_decimal, low=3.8, high=19.9),
    "k": partial(_decimal, low=3.1, high=5.9),
    "inr": partial(_decimal, low=1.0, high=3.9),
    "a1c": partial(_decimal_percent, low=5.2, high=11.9),
    "age": _age,
    "bp": _blood_pressure,
    "dim": _dimensions,
    "level": _level,
    "date": _date,
    "numdate": _numeric_date,
    "time": _time,
    "year": _year,
    "dose": _dose,
    "smalldose": _small_dose,
}
