#!/usr/bin/env python3
"""Runs the demo, keeps it up, and has jwt_judge.py verify both tokens through the JWKS that a decision oracle serves.

usage: demo_judge.py PROGRAM DATA_DIR

PROGRAM is the built `simulator`. Exit 0 when the YES and the NO token verify, and every altered one does not.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main(program, data):
    demo = subprocess.Popen(
        [program, "demo", "--json", "--hold", "--data", data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        summary = None
        for line in demo.stdout:
            if line.startswith("{"):
                summary = json.loads(line)
                break
        if not summary or not summary["ok"]:
            sys.exit(f"the demo failed: {summary}")
        verdicts = sorted(decision["verdict"] for decision in summary["decisions"])
        assert verdicts == ["NO", "YES"], verdicts
        for decision in summary["decisions"]:
            subprocess.run(
                [
                    sys.executable,
                    HERE / "jwt_judge.py",
                    summary["jwks"],
                    decision["token"],
                    "--audience",
                    summary["audience"],
                    "--issuer",
                    summary["issuer"],
                ],
                check=True,
            )
            print(f"PyJWT verified the {decision['verdict']} token of {decision['subject']}")
    finally:
        demo.stdin.close()
        demo.wait(timeout=60)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
