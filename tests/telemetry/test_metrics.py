"""The catalogue keeps its own rules, and docs/metrics.md shows it."""

import ast
import re

import httpx
import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from medasr_service.settings import Settings
from medasr_service.telemetry import metrics
from tests.conftest import ROOT, Service
from tests.test_architecture import PRODUCT

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
    *("_losses", "_turns", "_draining", "_starts", "_jobs"),
)
LABELS = {
    *("route", "format", "code", "reason", "stage", "kind", "place", "event", "outcome", "worker"),
    *("version", "model", "revision", "engine", "demo", "state"),
    "key",  # its name: the operator's, of the file of keys
}
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


def name_of(metric: MetricWrapperBase) -> str:
    (family,) = metric.describe()
    return f"{family.name}_total" if isinstance(metric, Counter) else family.name


def help_of(metric: MetricWrapperBase) -> str:
    (family,) = metric.describe()
    return family.documentation


def table() -> str:
    """The catalogue as docs/metrics.md has it."""
    rows = [
        (f"`{name_of(each)}`", KINDS[type(each)], " ".join(f"`{x}`" for x in each._labelnames), help_of(each))
        for each in CATALOGUE
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
    names = [name_of(each) for each in CATALOGUE]
    assert len(names) == len(set(names)) > 30


def test_buckets_reach_as_far_as_the_settings_let_recordings() -> None:
    settings = Settings()
    assert metrics.OF_RECORDINGS[-1] >= settings.max_duration_s
    assert metrics.TO_HOURS[-1] >= settings.request_timeout_s
    for each in CATALOGUE:
        if isinstance(each, Histogram):
            assert list(each._upper_bounds) == sorted(each._upper_bounds)
            assert len(each._upper_bounds) <= 18  # each is a series


def test_the_page_shows_the_catalogue() -> None:
    """Where this fails: put what it prints into docs/metrics.md."""
    assert table() in (ROOT / "docs" / "metrics.md").read_text(), table()


def test_codes_and_reasons_of_errors_are_words_of_the_code() -> None:
    """They are labels: nothing that is made while the service runs may become one."""
    found = [
        word
        for file in PRODUCT
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg in ("code", "reason") and file.parent.name in ("api", "audio", "serving", "live")
    ]
    words = [word for word in found if not isinstance(word.value, ast.Constant)]
    assert found
    assert {ast.unparse(word.value) for word in words} <= {"code", "reason"}, "handed on, or made?"


@pytest.mark.e2e
def test_the_service_shows_all_of_them_and_no_other(service: Service) -> None:
    """Those without labels, and those whose labels are known, from the start on."""
    text = httpx.get(f"{service.url}/metrics").text
    shown = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name for name in shown if name.startswith("medasr_")}
    known = {name_of(each).removesuffix("_total") for each in CATALOGUE}
    by_request = {name_of(each).removesuffix("_total") for each in CATALOGUE if each._labelnames}
    assert known - by_request <= ours <= known
    for each in CATALOGUE:
        family = shown.get(name_of(each).removesuffix("_total"))
        assert family is None or (family.type, family.documentation) == (KINDS[type(each)], help_of(each))
    assert re.search(r'^medasr_build_info\{version="[0-9.]+"\} 1.0$', text, re.MULTILINE)
    assert "not available" not in text, "BentoML's version label"
