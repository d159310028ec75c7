"""Adds up Meson's test logs and pytest's report into the line "N passed, N failed".

A test that was skipped counts as failed: an oracle that is not there proves nothing. Tests that a tier leaves out
(deselected) are not counted."""
import argparse
import json
import sys
import xml.etree.ElementTree as ElementTree

parser = argparse.ArgumentParser()
parser.add_argument("--pytest", metavar="REPORT.xml")
parser.add_argument("--meson", metavar="BUILD", nargs="+", default=[])
args = parser.parse_args()

passed = failed = 0
for build in args.meson:
    with open(f"{build}/meson-logs/testlog.json") as log:
        results = [json.loads(line)["result"] for line in log]
    good = sum(result in ("OK", "EXPECTEDFAIL") for result in results)
    passed += good
    failed += len(results) - good
if args.pytest:
    for suite in ElementTree.parse(args.pytest).getroot().iter("testsuite"):
        total = int(suite.get("tests"))
        bad = sum(int(suite.get(kind)) for kind in ("failures", "errors", "skipped"))
        passed += total - bad
        failed += bad
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
