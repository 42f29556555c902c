"""What is told of the end of a job, and how who hears it knows from whom it is."""

import json

import openai
import pytest
from standardwebhooks.webhooks import Webhook

from medasr_service.errors import UrlRefused
from medasr_service.jobs import webhook
from medasr_service.jobs.outward import Allowed
from tests.jobs.conftest import Web, reply

SECRET = "whsec_" + "bm9ib2R5IHNpZ25zIGFueXRoaW5nIHdpdGggdGhpcw=="
HERE = Allowed(["127.0.0.1/32"])
NUMBER, BODY = webhook.message("job_1", "0" * 28, failed=False, ended_s=1_800_000_000.7)


async def test_openais_client_knows_it_and_reads_it(web: Web) -> None:
    assert await webhook.post(HERE, f"{web.url}/told", SECRET, NUMBER, BODY) == "delivered"
    [received] = web.received
    client = openai.OpenAI(api_key="none", webhook_secret=SECRET)
    event = client.webhooks.unwrap(received.body.decode(), received.headers)
    told = event.to_dict()  # a type that it does not know is kept as it is
    assert told["type"] == "transcription.job.succeeded"
    assert told["data"] == {"id": "job_1"}
    assert told["created_at"] == 1_800_000_000
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(received.body.decode().replace("job_1", "job_2"), received.headers)


async def test_the_library_of_standard_webhooks_knows_it(web: Web) -> None:
    await webhook.post(HERE, f"{web.url}/told", SECRET, NUMBER, BODY)
    [received] = web.received
    assert Webhook(SECRET).verify(received.body, received.headers) == json.loads(BODY)


def test_a_failure_is_another_event_and_says_no_word() -> None:
    _, body = webhook.message("job_1", "0" * 28, failed=True, ended_s=0.0)
    assert json.loads(body)["type"] == "transcription.job.failed"
    assert set(json.loads(body)) == {"id", "object", "created_at", "type", "data"}


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, "delivered"), (204, "delivered"), (410, "failed"), (302, "again"), (404, "again"), (500, "again")],
)
async def test_what_is_answered_decides_whether_it_is_told_again(web: Web, status: int, said: str) -> None:
    web.answer = lambda handler: reply(handler, status, Location="http://169.254.169.254/")
    assert await webhook.post(HERE, web.url, SECRET, NUMBER, BODY) == said
    assert len(web.received) == 1


async def test_nobody_there_is_asked_again_and_nobody_allowed_is_refused() -> None:
    assert await webhook.post(HERE, "http://127.0.0.1:9/", SECRET, NUMBER, BODY) == "again"
    with pytest.raises(UrlRefused):
        await webhook.post(Allowed([]), "https://example.org/", SECRET, NUMBER, BODY)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "not base64!"])
def test_a_secret_that_is_none_is_known(text: str) -> None:
    assert not webhook.is_secret(text)
    assert webhook.is_secret(SECRET)
