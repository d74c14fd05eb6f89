"""The demo, kept up for a judge."""
import contextlib
import json
import subprocess
import sys


@contextlib.contextmanager
def held_demo(program, data):
    """Runs `PROGRAM demo` on a folder, yields its summary, and ends it. Exits when the demo fails."""
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
        yield summary
    finally:
        demo.stdin.close()
        demo.wait(timeout=60)
