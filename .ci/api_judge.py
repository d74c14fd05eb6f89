#!/usr/bin/env python3
"""Runs the demo, keeps it up, and has two stock programs judge the profile's API by the OpenAPI document that it serves.

usage: api_judge.py PROGRAM DATA_DIR

PROGRAM is the built `simulator`. A client that openapi-python-client generates drives a batch of renewals to its tokens;
schemathesis calls every route, with the token of its kind, for at most a minute. Exit 0 when the batch ends as it must
and schemathesis finds no 5xx and no answer that the document does not have.
"""
import importlib
import json
import os
import pathlib
import secrets
import subprocess
import sys
import time
import urllib.request

import jwt

from held_demo import held_demo

BIN = pathlib.Path(sys.executable).parent
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# With the one that is known, the most that a batch takes.
UNKNOWN = 999


def call(method, url, token, body=None):
    headers = {"authorization": f"Bearer {token}", "idempotency-key": secrets.token_hex(8), "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def renew(document, folder, url, token, pseudonym):
    """One case among unknown ones, in pages, by a generated client."""
    subprocess.run(
        [BIN / "openapi-python-client", "generate", "--path", document, "--output-path", folder / "shp_client",
         "--meta", "none", "--fail-on-warning"],
        check=True,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    sys.path.insert(0, str(folder))
    client = importlib.import_module("shp_client").AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
    start = importlib.import_module("shp_client.api.agency.renew")
    look = importlib.import_module("shp_client.api.agency.renewal")
    models = importlib.import_module("shp_client.models")

    unknown = [jwt.utils.base64url_encode(secrets.token_bytes(32)).decode() for _ in range(UNKNOWN)]
    named = [*unknown[:60], pseudonym, *unknown[60:]]
    body = models.RenewBatch(pseudonyms=named)
    batch = start.sync(client=client, body=body, idempotency_key="judge")
    assert start.sync(client=client, body=body, idempotency_key="judge").renewal == batch.renewal
    for _ in range(240):
        if batch.done == batch.total:
            break
        time.sleep(0.5)
        batch = look.sync(batch.renewal, client=client)
    assert (batch.done, batch.total) == (len(named), len(named)), batch
    results, after = [], 0
    while isinstance(after, int):
        page = look.sync(batch.renewal, client=client, after=after, limit=100)
        results += page.results
        after = page.next_
    assert [it.pseudonym for it in results] == named
    found = [it for it in results if it.outcome != "unknown"]
    assert [(it.pseudonym, str(it.outcome)) for it in found] == [(pseudonym, "yes")], found
    claims = jwt.decode(found[0].token, options={"verify_signature": False})
    assert (claims["sub"], claims["verdict"]) == (pseudonym, "YES"), claims
    print(f"a generated client renewed one case among {len(named)} pseudonyms")
    return batch.renewal


def fuzz(document, folder, url, tokens, ids):
    lines = ["[auth.openapi]"]
    lines += [f'{kind} = {{ bearer = "{token}" }}' for kind, token in tokens.items()]
    lines += ["[parameters]"]
    lines += [f'"path.{name}" = "{value}"' for name, value in ids.items()]
    config = folder / "schemathesis.toml"
    config.write_text("\n".join(lines) + "\n")
    subprocess.run(
        [BIN / "schemathesis", "--config-file", config, "run", document, "--url", url, "--checks", CHECKS,
         "--phases", "coverage,fuzzing", "--max-examples", "20", "--max-time", "60", "--seed", "1", "--no-color"],
        check=True,
        cwd=folder,
    )


def main(program, data):
    data = pathlib.Path(data)
    with held_demo(program, data) as summary:
        url = summary["profile"]
        secret = lambda name: (data / "config" / f"{name}.secret").read_text().strip()
        yes = next(it for it in summary["decisions"] if it["verdict"] == "YES")
        person = next(it for it in json.loads((data / "demo.json").read_text())["people"] if it["id"] == yes["subject"])
        profile = f"{url}/v1/profiles/{person['profile']}"
        call("PUT", f"{profile}/coverage", person["owner_token"], {"jurisdiction": "CA", "contract": "us.medicaid.adult-group"})
        flag = call("POST", f"{profile}/flag", person["owner_token"])["flag_token"]
        tokens = {kind: secret(f"profile-api-{kind}") for kind in ("operator", "agency")}
        tokens |= {"owner": person["owner_token"], "provider": flag, "navigator": secret("profile-navigator")}
        # Nobody sells gap cover in this story: without a token its route answers 401.
        document = data / "openapi.json"
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            document.write_bytes(answer.read())
        pseudonym = jwt.decode(pathlib.Path(yes["token"]).read_text().strip(), options={"verify_signature": False})["sub"]
        renewal = renew(document, data, url, tokens["agency"], pseudonym)
        ids = {"profile": person["profile"], "question": person["question"], "renewal": renewal}
        fuzz(document, data, url, tokens, ids)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
