"""The server under test, as each client reaches it.

The addresses and the token come from the environment, where the runner puts them. This file owns
no expectation about the server; those stand in the tests.
"""

import datetime
import json
import os
import urllib.request
import uuid

GRPC = os.environ["VITALOG_GRPC"]
HTTP = os.environ["VITALOG_HTTP"]
TOKEN = os.environ["VITALOG_TOKEN"]
# A statement that runs for minutes unless it is stopped.
ENDLESS = (
    "SELECT count(*) AS n FROM range(2000000) a JOIN range(2000000) b"
    " ON (a.value * 7919) % 1000003 < b.value % 1000003"
)


def adbc(**options):
    """A connection of ADBC; closed by its caller."""
    from adbc_driver_flightsql import DatabaseOptions, dbapi

    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    return dbapi.connect(f"grpc://{GRPC}", db_kwargs={**header, **options}, autocommit=True)


def post(sql, format="json", token=TOKEN, **body):
    """The body of an answer of `POST /query`; with `body`, the statement is sent as JSON."""
    request = urllib.request.Request(f"http://{HTTP}/query?format={format}", method="POST")
    if body:
        request.data = json.dumps({"sql": sql, **body}).encode()
        request.add_header("Content-Type", "application/json")
    else:
        request.data = sql.encode()
        request.add_header("Content-Type", "application/sql")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def rows(sql):
    """The rows of a statement over HTTP, each an object."""
    return json.loads(post(sql))


def new_id(prefix):
    """An event_id that no other test has."""
    return f"{prefix}-{uuid.uuid4()}"


def now():
    """This instant, to the microsecond."""
    return datetime.datetime.now(datetime.UTC)
