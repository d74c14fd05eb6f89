#!/usr/bin/env python3
"""Holds the EHR's answers against an independent FHIR model.

usage: fhir_judge.py PROGRAM

PROGRAM is the built example `external` (cargo build -p simulator --example external). The script starts it in the role
`ehr`, asks for every kind of answer it gives, and validates each with the R4B models of the package fhir.resources
(pip install fhir.resources==8.0.0; R4B has the same Patient, Condition, Observation,
FamilyMemberHistory, Bundle, OperationOutcome and CapabilityStatement elements as R4 for what is used here).
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from fhir.resources.R4B import get_fhir_model_class

TOKEN = "judge"
SNOMED = "http://snomed.info/sct"
MRN = "https://ehr.example/mrn"


def get(url, token=TOKEN):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            status, kind, body = answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        status, kind, body = error.code, error.headers["content-type"], error.read()
    assert kind.startswith("application/fhir+json"), f"{url}: served as {kind}"
    return status, json.loads(body)


def judge(url, expected_status, expected_type, token=TOKEN):
    status, resource = get(url, token)
    assert status == expected_status, f"{url}: {status}, expected {expected_status}: {resource}"
    assert resource["resourceType"] == expected_type, f"{url}: {resource['resourceType']}"
    parsed = get_fhir_model_class(expected_type).model_validate(resource)
    again = json.loads(parsed.model_dump_json())
    assert again == resource, f"{url}: the model dropped or changed something"
    return resource


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "ehr.toml")
        config.write_text(f'role = "ehr"\nday_zero = "2026-11-20"\napi_key = "{TOKEN}"\ngenerated = 12\n')
        process = subprocess.Popen([program, str(config)], stdout=subprocess.PIPE, text=True)
        try:
            base = process.stdout.readline().strip()
            judge(f"{base}/metadata", 200, "CapabilityStatement", token="")
            patients = judge(f"{base}/Patient?_count=100", 200, "Bundle")
            conditions = judge(f"{base}/Condition?_count=100", 200, "Bundle")
            observations = judge(f"{base}/Observation?_count=100", 200, "Bundle")
            family = judge(f"{base}/FamilyMemberHistory?_count=100", 200, "Bundle")
            for bundle in (patients, conditions, observations, family):
                assert min(bundle["total"], 100) == len(bundle["entry"]) > 0
                for entry in bundle["entry"]:
                    judge(entry["fullUrl"], 200, entry["resource"]["resourceType"])
            found = judge(f"{base}/Patient?identifier={MRN}%7CMRN-802518", 200, "Bundle")
            patient = found["entry"][0]["resource"]["id"]
            pregnancy = f"Condition?patient={patient}&code={SNOMED}%7C77386006&clinical-status=active"
            assert judge(f"{base}/{pregnancy}", 200, "Bundle")["total"] == 1
            page, pages = judge(f"{base}/Condition?_count=4", 200, "Bundle"), 1
            while following := [link["url"] for link in page["link"] if link["relation"] == "next"]:
                page, pages = judge(following[0], 200, "Bundle"), pages + 1
            assert pages == -(-conditions["total"] // 4)
            assert judge(f"{base}/Patient?family=Nobody", 200, "Bundle")["total"] == 0
            pressure = "http://loinc.org%7C85354-9"
            dated = judge(f"{base}/Observation?code={pressure}&date=ge2026-08-23&date=le2026-11-20", 200, "Bundle")
            assert 0 < dated["total"] < observations["total"]
            judge(f"{base}/Patient/none", 404, "OperationOutcome")
            judge(f"{base}/Condition?code:below=1", 400, "OperationOutcome")
            judge(f"{base}/Patient", 401, "OperationOutcome", token="wrong")
        finally:
            process.terminate()
            process.wait()
    print(f"fhir: {patients['total']} patients, {conditions['total']} conditions, "
          f"{observations['total']} observations, {family['total']} family histories, {pages} pages: valid")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
