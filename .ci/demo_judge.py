#!/usr/bin/env python3
"""Runs the demo, keeps it up, and has jwt_judge.py verify both tokens through the JWKS that a decision oracle serves.

usage: demo_judge.py PROGRAM DATA_DIR

PROGRAM is the built `simulator`. Exit 0 when the YES and the NO token verify, and every altered one does not.
"""
import pathlib
import subprocess
import sys

from held_demo import held_demo

HERE = pathlib.Path(__file__).resolve().parent


def main(program, data):
    with held_demo(program, data) as summary:
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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
