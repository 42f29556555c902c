"""What a clinic says of people and places, as it is said, and the placeholder that stands for it in the text.

google/medasr was trained on de-identified text: it writes `[PatientName]` where it hears a name. All
names here are common ones, put together at random. One in `grammar.HELD_OUT` is kept for evaluation.
"""

# ruff: noqa: SIM905 - lists of words read best as sentences

from collections.abc import Callable
from functools import partial
from random import Random

from training.numbers import MONTHS, ONES, Word, cardinal, ordinal, year

Keep = Callable[[str], bool]  # whether the split has this name

FIRST = (
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard "
    "Susan Joseph Jessica Thomas Sarah Charles Karen Christopher Lisa Daniel Nancy Matthew Betty Anthony "
    "Margaret Mark Sandra Donald Ashley Steven Kimberly Paul Emily Andrew Donna Joshua Michelle Kenneth "
    "Carol Kevin Amanda Brian Dorothy George Melissa Timothy Deborah Ronald Stephanie Edward Rebecca "
    "Jason Sharon Jeffrey Laura Ryan Cynthia Jacob Kathleen Gary Amy Nicholas Angela Eric Shirley "
    "Jonathan Anna Stephen Brenda Larry Pamela Justin Emma Scott Nicole Brandon Helen Benjamin Samantha "
    "Samuel Katherine Gregory Christine Frank Debra Alexander Rachel Raymond Carolyn Patrick Janet Jack "
    "Catherine Dennis Maria Jerry Heather Tyler Diane Aaron Ruth Jose Julie Adam Olivia Nathan Joyce "
    "Henry Virginia Douglas Victoria Peter Kelly Zachary Lauren Kyle Christina Walter Joan Harold Evelyn"
).split()
LAST = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez "
    "Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark "
    "Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams "
    "Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker "
    "Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper "
    "Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson Watson Brooks Chavez Wood James "
    "Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross Foster "
    "Jimenez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Gonzales Fisher "
    "Vasquez Simmons Romero Jordan Patterson Alexander Hamilton Graham Reynolds Griffin Wallace Moreno "
    "West Cole Hayes Bryant Herrera Gibson Ellis Tran Medina Aguilar Stevens Murray Ford Castro Marshall "
    "Owens"
).split()
CITIES = (
    "New York|Los Angeles|Chicago|Houston|Phoenix|Philadelphia|San Antonio|San Diego|Dallas|San Jose|"
    "Austin|Jacksonville|Columbus|Charlotte|San Francisco|Indianapolis|Seattle|Denver|Boston|Nashville|"
    "Detroit|Portland|Memphis|Louisville|Baltimore|Milwaukee|Albuquerque|Tucson|Fresno|Sacramento|"
    "Kansas City|Atlanta|Omaha|Raleigh|Miami|Oakland|Minneapolis|Tampa|Cleveland|New Orleans|Honolulu|"
    "Cincinnati|Pittsburgh|Saint Louis|Orlando|Toledo|Madison|Buffalo|Lincoln|Richmond|Spokane|Rochester|"
    "Des Moines|Akron|Little Rock|Augusta|Mobile|Shreveport|Knoxville|Springfield|Salem|Eugene|Savannah|"
    "Syracuse|Dayton|Hartford|Topeka|Lansing|Albany|Cedar Rapids"
).split("|")
PATRONS = (
    "Saint Mary's|Saint Joseph|Saint Luke's|Mercy|Good Samaritan|Sacred Heart|Riverside|Lakeview|"
    "Memorial|Providence|Mount Sinai|Valley|Oakwood|Northside|Westside|Holy Cross|Grace|Trinity|Baptist|"
    "Methodist|Evergreen|Summit|Fairview|Mountain View|Cedar|Bayside|Highland|Lincoln|Washington|"
    "Franklin|Jefferson|Union|Harbor|Parkland"
).split("|")
CENTERS = "Hospital|Medical Center|General Hospital|Regional Medical Center|Clinic|Community Hospital".split(
    "|"
)
HOMES = "nursing home|nursing home|care center|rehabilitation center".split("|")


def _name(rng: Random, keep: Keep, names: list[str]) -> str:
    while True:
        name = rng.choice(names)
        if keep(name):
            return name


def _person(rng: Random, keep: Keep, *, last: float = 0.0, first: float = 0.0) -> str:
    """First and last name; with the chances given, one of them alone."""
    chance = rng.random()
    if chance < last:
        return _name(rng, keep, LAST)
    if chance < last + first:
        return _name(rng, keep, FIRST)
    middle = f" {rng.choice('ABCDEFGHJKLMNPRST')}" if rng.random() < 0.12 else ""
    return f"{_name(rng, keep, FIRST)}{middle} {_name(rng, keep, LAST)}"


def _city(rng: Random, keep: Keep) -> str:
    return _name(rng, keep, CITIES)


def _place(rng: Random, keep: Keep, *, kinds: list[str]) -> str:
    return f"{_name(rng, keep, PATRONS)} {rng.choice(kinds)}"


def _any_year(value: int) -> str:
    """`_any_year(1956)` is "nineteen fifty six"; those after 1999 as numbers.year has them."""
    return year(value) if value >= 2000 else f"nineteen {cardinal(value - 1900)}"


def _date(rng: Random, keep: Keep, *, low: int, high: int) -> str:
    """A day, said in one of four ways."""
    month, day, when = rng.randint(1, 12), rng.randint(1, 31), rng.randint(low, high)
    said_day = ordinal(day) if rng.random() < 0.6 else cardinal(day)
    way = rng.random()
    if way < 0.6:
        return f"{MONTHS[month - 1]} {said_day} {_any_year(when)}"
    if way < 0.7:
        return f"the {ordinal(day)} of {MONTHS[month - 1]} {_any_year(when)}"
    between = " slash " if way < 0.85 else " "
    return between.join([cardinal(month), cardinal(day), _any_year(when)])


def _digits(rng: Random, count: int) -> str:
    zero = "oh" if rng.random() < 0.4 else "zero"
    return " ".join(ONES[digit] if digit else zero for digit in (rng.randint(0, 9) for _ in range(count)))


def _telephone(rng: Random, keep: Keep) -> str:
    """Seven or ten digits, read one by one."""
    area = f"{'area code ' if rng.random() < 0.2 else ''}{_digits(rng, 3)} " if rng.random() < 0.75 else ""
    return f"{area}{_digits(rng, 3)} {_digits(rng, 4)}"


def _identifier(rng: Random, keep: Keep) -> str:
    letter = f"{rng.choice('ABCDEFGHKLMNPRST')} " if rng.random() < 0.3 else ""
    return letter + _digits(rng, rng.randint(5, 8))


def _age(rng: Random, keep: Keep) -> str:
    return cardinal(rng.randint(18, 99))


SLOTS: dict[str, tuple[str, Callable[[Random, Keep], str]]] = {
    "patient": ("[PatientName]", partial(_person, last=0.1)),
    "patientlast": ("[PatientName]", partial(_person, last=1.0)),
    "doctor": ("[MedicalProfessionalName]", partial(_person, last=0.6)),
    "nurse": ("[MedicalProfessionalName]", _person),
    "family": ("[FamilyMemberName]", partial(_person, first=0.6)),
    "other": ("[OtherName]", _person),
    "birth": ("[Date]", partial(_date, low=1925, high=2015)),
    "day": ("[Date]", partial(_date, low=2015, high=2026)),
    "years": ("[Age]", _age),
    "phone": ("[TelephoneNumber]", _telephone),
    "id": ("[OtherId]", _identifier),
    "city": ("[City]", _city),
    "center": ("[MedicalCenterName]", partial(_place, kinds=CENTERS)),
    "home": ("[NursingHomeName]", partial(_place, kinds=HOMES)),
}
"""The slots of notation.toml: what is written for each, and how one is said."""

WRITTEN = tuple(dict.fromkeys(written for written, _ in SLOTS.values()))


def placeholder(slot: str, rng: Random, keep: Keep) -> Word:
    """A placeholder, and what is said in its place."""
    written, say = SLOTS[slot]
    return Word(written, say(rng, keep))
