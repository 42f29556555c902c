"""The catalogue keeps its own rules."""

from prometheus_client.metrics import MetricWrapperBase

from medasr_service.telemetry import metrics

CATALOGUE = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
UNITS = ("_seconds", "_bytes", "_ratio", "_info")
COUNTED = (
    *(
        "_requests",
        "_refusals",
        "_failures",
        "_marks",
        "_windows",
        "_waiting",
        "_running",
        "_limit",
        "_ready",
    ),
    *("_losses", "_turns", "_draining", "_starts"),
)
LABELS = {
    *("route", "format", "code", "reason", "stage", "kind", "place", "event", "outcome", "worker"),
    *("version", "model", "revision", "engine", "demo"),
}


def test_every_name_says_whose_it_is_and_in_what_unit() -> None:
    for each in CATALOGUE:
        (family,) = each.describe()
        assert family.name.startswith("medasr_"), family.name
        assert family.name.endswith((*UNITS, *COUNTED)), family.name
        assert family.documentation[0].isupper() or family.documentation[0].isdigit()
        assert not family.documentation.endswith("."), family.name


def test_no_label_is_one_that_a_client_could_fill() -> None:
    for each in CATALOGUE:
        assert set(each._labelnames) <= LABELS, each


def test_no_name_is_given_twice() -> None:
    names = [next(iter(each.describe())).name for each in CATALOGUE]
    assert len(names) == len(set(names)) > 30
