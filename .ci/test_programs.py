"""Reads `cargo test --no-run --message-format=json-render-diagnostics` and prints the test programs of the packages named, each with its folder;
of a package named PACKAGE/lib only its library's own."""

import json
import os
import sys

wanted = set(sys.argv[1:])
found = set()
for line in sys.stdin:
    message = json.loads(line)
    if message.get("reason") != "compiler-artifact" or not message["profile"]["test"] or not message["executable"]:
        continue
    folder = os.path.dirname(message["manifest_path"])
    package = os.path.basename(folder)
    names = {package, f"{package}/lib"} if "lib" in message["target"]["kind"] else {package}
    if names & wanted:
        found |= names & wanted
        print(folder, message["executable"], sep="\t")
if found != wanted:
    sys.exit(f"no test programs of {', '.join(sorted(wanted - found))}")
