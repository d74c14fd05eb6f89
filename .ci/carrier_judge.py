#!/usr/bin/env python3
"""Holds the notifier and the stand-in carrier against the carrier's own Python library (PyPI: twilio).

usage: carrier_judge.py NOTIFIER EXTERNAL

NOTIFIER is the built `notifier`, EXTERNAL the built example `external` (cargo build -p simulator --example external). Exit 0 when

- requests that the library's RequestValidator signs are taken by the notifier, with either of two tokens, and others are not;
- the notifier's answer is the TwiML that the library's MessagingResponse makes;
- the notifier's text arrives, and its reply decides, over all of that;
- the library's client sends, lists, pages and fetches texts at the stand-in, and reads its refusals.
"""
import base64
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKENS = ["present-token", "next-token"]
PUBLIC = "https://texts.example.org"
PHONE = "+14155550132"
os.environ["NO_PROXY"] = "*"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Here(TwilioHttpClient):
    """Sends what is meant for the carrier to the stand-in."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def request(self, method, url, *args, **kwargs):
        assert url.startswith("https://api.twilio.com/"), url
        return super().request(method, url.replace("https://api.twilio.com", self.base, 1), *args, **kwargs)


def call(method, url, headers=None, body=None):
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=body)
    try:
        with OPENER.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(holds, what):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"it never came to hold: {what}")


def canonical(xml):
    return ElementTree.canonicalize(xml)


def judge_library_reads_the_stand_in(client):
    sent = client.messages.create(to="+12135550147", from_="+18005550100", body="one")
    assert sent.sid.startswith("SM") and sent.status == "queued" and sent.body == "one", sent
    for number in range(4):
        client.messages.create(to="+12135550147", messaging_service_sid="MG" + "0" * 32, body=f"more {number}")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    listed = client.messages.list(to="+12135550147", date_sent_after=today, page_size=2)
    assert [text.body for text in listed] == ["more 3", "more 2", "more 1", "more 0", "one"], listed
    assert isinstance(listed[0].date_created, datetime.datetime)
    assert listed[0].messaging_service_sid.startswith("MG") and listed[0].from_ is None
    assert client.messages.list(to="+12135550147", date_sent_before=today - datetime.timedelta(days=1)) == []
    eventually(lambda: client.messages(sent.sid).fetch().status == "delivered", "the text is delivered")
    for wrong, code in [(lambda: client.messages.create(to="nobody", from_="+18005550100", body="x"), 21211),
                        (lambda: client.messages("SM" + "0" * 32).fetch(), 20404)]:
        try:
            wrong()
            sys.exit(f"{code} was not raised")
        except TwilioRestException as error:
            assert error.code == code, error
    print("twilio: the library sends, lists by pages and fetches at the stand-in, and reads its refusals")


def judge_webhooks(base, client):
    path = "/v1/carriers/carrier/inbound"

    def post(params, token=TOKENS[0], url=PUBLIC + path, change=None):
        signature = RequestValidator(token).compute_signature(url, params)
        body = urllib.parse.urlencode({**params, **(change or {})}).encode()
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        return call("POST", base + path, headers, body)

    def api(method, path, body=None):
        headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
        status, text = call(method, base + path, headers, json.dumps(body).encode() if body else None)
        return status, json.loads(text) if text else None

    def text(sid, words):
        return {"MessageSid": sid, "AccountSid": ACCOUNT, "From": PHONE, "To": "+18005550100", "Body": words, "NumMedia": "0"}

    def texts():
        return [text.body for text in reversed(client.messages.list(to=PHONE))]

    status, contact = api("POST", "/v1/contacts", {"phone": PHONE, "language": "en"})
    assert status == 201, contact
    asked = eventually(texts, "the verification text arrives")[0]
    code = asked.split("Reply YES ")[1].split()[0]
    yes = text("SM1", f"Yes {code} 👍 & thanks")
    for refused in [post(yes, token="another-token"), post(yes, url="https://elsewhere.example" + path),
                    post(yes, change={"From": "+12135550147"}), post(yes, change={"OptOutType": "START"})]:
        assert refused[0] == 403, refused
    status, twiml = post(yes, token=TOKENS[1])
    assert status == 200 and canonical(twiml) == canonical(str(MessagingResponse())), twiml
    assert api("GET", f"/v1/contacts/{contact['contact']}")[1]["state"] == "verified"
    stranger = dict(text("SM2", "YES K7"), From="+12135550100")
    assert post(stranger) == (200, twiml), "a stranger gets the same answer"
    status, sent = api("POST", "/v1/messages", {
        "contact": contact["contact"], "template": "apply", "params": {"jurisdiction": "CA"}, "decision_id": "d1",
        "deadline": int(time.time()) + 400_000, "undo_seconds": 0, "idempotency_key": "k1"})
    assert status == 202, sent
    eventually(lambda: any(f"YES {sent['code']}" in body for body in texts()), "the question arrives")
    eventually(lambda: api("GET", f"/v1/messages/{sent['id']}")[1]["state"] == "delivered", "its end is asked for")
    assert post(text("SM3", f"yes {sent['code']}"))[0] == 200
    status, reply = api("GET", "/v1/replies/d1?wait=10")
    assert status == 200 and reply["answer"] == "YES", reply
    print("twilio: webhooks signed by the library are taken, others refused; the answer is the library's TwiML")


def main(notifier, external):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        processes = []

        def start(program, config):
            process = subprocess.Popen([program, str(config)], stdout=subprocess.PIPE, text=True)
            processes.append(process)
            return process.stdout.readline().strip()

        def secret(name, value):
            (folder / name).write_text(value)
            return f'{{ file = "{folder / name}" }}'

        try:
            (folder / "carrier.toml").write_text(
                f'role = "carrier"\naccount_sid = "{ACCOUNT}"\nauth_token = "{TOKENS[0]}"\n')
            carrier = start(external, folder / "carrier.toml")
            client = Client(ACCOUNT, TOKENS[0], http_client=Here(carrier))
            judge_library_reads_the_stand_in(client)
            key = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
            # The stand-in's callbacks go to the public address, where nobody listens here: they are lost, and the notifier asks.
            (folder / "notifier.toml").write_text(f"""
listen = "127.0.0.1:0"
database = "sqlite:{folder / 'notifier.db'}"
operator_key = {secret("operator", key)}
signing_key = {secret("signing", key)}
rules = {{ texting_hours = [0, 24] }}
retry = {{ receipt_wait_seconds = 1 }}
[[providers]]
kind = "twilio"
name = "carrier"
base_url = "{carrier}"
account_sid = "{ACCOUNT}"
password = {secret("token0", TOKENS[0])}
from = "+18005550100"
webhook_tokens = [{secret("token0", TOKENS[0])}, {secret("token1", TOKENS[1])}]
public_url = "{PUBLIC}"
[[callers]]
name = "judge"
token = {secret("token", "token")}
may = ["contacts", "messages"]
""")
            judge_webhooks(start(notifier, folder / "notifier.toml"), client)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
