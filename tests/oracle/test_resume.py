"""lathe verify --resume: what passed over the same files is kept and said to be; what depends on anything that changed is
run again. A kept result is never older than what it speaks of."""

import json
import re

import pytest
from bundle_edit import BundleEdit
from command import HELLO, ROOT, lathe

GATES = re.findall(r'^GATE\((\w+), \d+, ([\w| ]+), "([^"]+)"', (ROOT / "src/bundle/gates.def").read_text(), re.M)
NAMES = [name for _, _, name in GATES]
OF_PACKAGES = {name for _, needs, name in GATES if "PACKAGES" in needs or "ALL" in needs}
OF_HOST = {name for _, needs, name in GATES if "HOST" in needs or "ALL" in needs}


@pytest.fixture
def sealed(hello_sealed, tmp_path):
    return BundleEdit.copy(hello_sealed, tmp_path / "m.lathe")


def resume(bundle, *args):
    """The gates that were kept, those that ran, and the run itself."""
    run = lathe("verify", bundle, "--model", HELLO, "--resume", *args)
    kept, ran = set(), set()
    for line in run.stdout.splitlines():
        name = next((n for n in NAMES if line.startswith(f"{n:13} ")), None)
        if name:
            (kept if "(kept)" in line else ran).add(name)
    return kept, ran, run


def results(bundle):
    return json.loads((bundle / "verify/report.json").read_text())


def test_nothing_changed(sealed):
    before = results(sealed.path)
    kept, ran, run = resume(sealed.path)
    assert ran == {"contract"} and kept == set(NAMES) - {"contract"}, run.stdout
    assert run.returncode == 0 and (sealed.path / "seal.json").exists()
    after = results(sealed.path)
    assert all(after[key] == before[key] for key in ("gates", "inputs", "vote", "placement", "range"))
    assert lathe("chat", sealed.path, "-p", "hello", "--max-tokens", 1).returncode == 0


def test_without_resume_everything_runs(hello_sealed):
    """What hello_sealed was made by: no line of a fresh run says that it was kept."""
    assert not any("(kept)" in r["text"] for rs in results(hello_sealed)["gates"].values() for r in rs)


def test_a_changed_weight(sealed):
    name = next(t["name"] for t in sealed.chain["shards"][1]["tensors"] if "down" in t["name"])
    codes = sealed.weight(name).codes
    codes[:] = -codes
    sealed.redigest()
    kept, ran, run = resume(sealed.path)
    assert run.returncode == 1 and "graph" not in kept and "layer golden" not in kept, run.stdout
    assert ran >= OF_PACKAGES and kept == {"vote"}
    assert not (sealed.path / "seal.json").exists()


def test_a_failed_gate_is_not_kept(sealed):
    report = results(sealed.path)
    report["gates"]["head"][0]["passed"] = False
    (sealed.path / "verify/report.json").write_text(json.dumps(report))
    kept, ran, run = resume(sealed.path)
    assert ran == {"contract", "head"} and run.returncode == 0, run.stdout


def test_a_changed_host_file(sealed):
    sealed.host_tensor("token_embd.weight")[5] ^= 1
    sealed.redigest()
    kept, ran, _ = resume(sealed.path)
    assert ran >= OF_HOST and kept <= {"vote", "residency"}


def test_a_file_that_is_not_as_stated(sealed):
    """Digests of chain.json alone are not believed."""
    path = sealed.path / sealed.chain["shards"][0]["files"][2]["path"]
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    kept, ran, run = resume(sealed.path)
    assert not kept and run.returncode != 0, run.stdout


def test_another_text_for_the_vote(sealed, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Show me hello world in Erlang. The capital of France is Paris. " * 20)
    kept, ran, run = resume(sealed.path, "--vote-text", text)
    assert ran == {"contract", "vote"}, run.stdout + run.stderr


@pytest.mark.parametrize("change", [lambda r: r.pop("inputs"), lambda r: r["inputs"].update({n: "0" * 64 for n in NAMES}),
                                    lambda r: r.pop("gates")])
def test_a_report_of_other_inputs(sealed, change):
    report = results(sealed.path)
    change(report)
    (sealed.path / "verify/report.json").write_text(json.dumps(report))
    kept, ran, _ = resume(sealed.path, "--gates", "graph,structure")
    assert not kept and ran == {"graph", "structure"}


def test_a_broken_report(sealed):
    (sealed.path / "verify/report.json").write_text("{")
    kept, ran, run = resume(sealed.path, "--gates", "structure")
    assert run.returncode == 0 and ran == {"structure"}
