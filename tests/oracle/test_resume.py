"""lathe verify --resume: what passed over the same files is kept and said to be; what depends on anything that changed is
run again. A kept result is never older than what it speaks of, and a report that was edited keeps nothing."""

import json
import shutil

import pytest
from bundle_edit import BundleEdit, own_sha256, sha256
from command import HELLO, MODELS, lathe, table
from gates_table import GATES, NAMES

OF_PACKAGES = {gate.name for gate in GATES if "PACKAGES" in gate.needs}


@pytest.fixture
def sealed(hello_sealed, tmp_path):
    return BundleEdit.copy(hello_sealed, tmp_path / hello_sealed.name)


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


def write_results(bundle, report):
    """As a lathe would that had got these."""
    report["sha256"] = own_sha256(report)
    (bundle / "verify/report.json").write_text(json.dumps(report))


def without_times(report):
    """All that does not speak of the run itself."""
    return {k: v for k, v in report.items() if k not in ("run", "sha256")}


def use_of(chain):
    return [chain["use"][row] for row, *_ in table("use")]


def inputs_of(bundle, build=None, kernels=None, schemas=None, vote=("", "0"), text="0", configs=()):
    """The digests of docs/chain-schema.md. `vote`: digest of a text that was given, and whether it read on; `configs`: of the
    publisher's files; `text`: whether that gate read on."""
    report = results(bundle)
    chain_text = (bundle / "chain.json").read_bytes()
    chain = json.loads(chain_text)
    inputs = {}
    for name, schema, needs, _ in GATES:
        lines = [build or report["build"], kernels or report["kernels"], name, str((schemas or {}).get(name, schema)), chain["contract_sha256"]]
        if "SOURCE" in needs:
            lines.append(chain["source"]["sha256"])
        if "HOST" in needs:
            lines.append(chain["host"]["sha256"])
        if "PACKAGES" in needs:
            for file in (f for s in chain["shards"] for f in s["files"]):
                lines += [file["path"], file["sha256"]]
            lines.append(sha256(chain_text))
        if "USE" in needs:
            lines += [choice["value"] for choice in use_of(chain)]
        if "PUBLISHER" in needs:
            lines += configs
        if "VOTE_TEXT" in needs:
            lines.append(vote[0])
        if "VOTE_LONG" in needs:
            lines.append(vote[1] if name == "vote" else text)
        inputs[name] = sha256("".join(line + "\n" for line in lines).encode())
    return inputs


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
    write_results(sealed.path, report)
    kept, ran, run = resume(sealed.path)
    assert ran == {"contract", "head"} and run.returncode == 0, run.stdout


# ---- the report itself

def test_a_report_has_its_digest(sealed):
    """After a full run and after one that kept."""
    for _ in range(2):
        report = results(sealed.path)
        assert report["sha256"] == own_sha256(report)
        resume(sealed.path)


EDITS = {
    "a failure made a pass": lambda r: r["gates"]["structure"][0].update(passed=True, text="all is well"),
    "a figure": lambda r: r["gates"]["graph"][0]["figures"].update(cos=1.0),
    "a section": lambda r: r["graph_errors"]["graph_fp32"]["cos"].append(1.0),
    "a member more": lambda r: r.update(extra=1),
    "no digest": lambda r: r.pop("sha256"),
    "no text for a digest": lambda r: r.update(sha256=7),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_report_keeps_nothing(sealed, edit):
    report = results(sealed.path)
    edit(report)
    (sealed.path / "verify/report.json").write_text(json.dumps(report))
    kept, ran, run = resume(sealed.path, "--gates", "structure,residency")
    assert not kept and ran == {"structure", "residency"} and run.returncode == 0
    said = [line for line in run.stderr.splitlines() if "no earlier result is kept" in line]
    assert len(said) == 1 and f"{sealed.path}/verify/report.json" in said[0], run.stderr
    assert ("edited" if "sha256" in report and report["sha256"] != 7 else "older version of lathe") in said[0]


def test_spaces_are_not_content(sealed):
    """Unlike a seal, a report may be looked at with a tool that writes it anew."""
    (sealed.path / "verify/report.json").write_text(json.dumps(results(sealed.path), indent=4, sort_keys=True))
    kept, _, _ = resume(sealed.path, "--gates", "structure,residency")
    assert kept == {"structure", "residency"}


@pytest.mark.parametrize("name", NAMES)
def test_sections_outlive_a_gate_that_runs_again(sealed, name):
    """Each gate alone runs again, the others are kept: the report is that of a full run, sections included."""
    before = results(sealed.path)
    report = results(sealed.path)
    report["inputs"][name] = "0" * 64
    write_results(sealed.path, report)
    kept, ran, run = resume(sealed.path)
    assert ran == {"contract", name} and run.returncode == 0, run.stdout
    assert without_times(results(sealed.path)) == without_times(before)


def test_a_run_of_some_gates_loses_nothing(sealed):
    """The report goes on saying what is known of the others; the seal stands, and so does what --resume builds on."""
    before = results(sealed.path)
    seal = (sealed.path / "seal.json").read_bytes()
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "graph")
    assert run.returncode == 0 and "(kept)" not in run.stdout, run.stderr
    assert without_times(results(sealed.path)) == without_times(before)
    assert (sealed.path / "seal.json").read_bytes() == seal
    kept, ran, _ = resume(sealed.path)
    assert ran == {"contract"} and kept == set(NAMES) - {"contract"}


def test_of_other_files_nothing_is_taken_over(sealed):
    """What was said of the bytes before goes with them, also where only one gate runs; contract and vote do not read packages."""
    name = next(t["name"] for t in sealed.chain["shards"][1]["tensors"] if "down" in t["name"])
    sealed.weight(name).codes[3] += 1
    sealed.redigest()
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "structure")
    assert run.returncode == 0 and set(results(sealed.path)["gates"]) == {"contract", "vote", "structure"}, run.stdout


def test_results_over_altered_bytes_are_not_kept_when_they_are_mended(sealed):
    """A gate that ran over other bytes than chain.json states said nothing of those."""
    path = sealed.path / sealed.chain["shards"][0]["files"][2]["path"]
    good = path.read_bytes()
    path.write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
    assert lathe("verify", sealed.path, "--model", HELLO, "--gates", "residency").returncode == 0
    path.write_bytes(good)
    kept, ran, _ = resume(sealed.path, "--gates", "residency")
    assert ran == {"residency"} and not kept


def test_a_failure_over_altered_bytes_outlives_a_run_of_other_gates(sealed):
    """A gate that ran and passed says nothing of the one that failed; when the bytes are mended, nothing is left of it."""
    path = sealed.path / sealed.chain["shards"][0]["files"][2]["path"]
    good = path.read_bytes()
    path.write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
    assert lathe("verify", sealed.path, "--model", HELLO, "--gates", "structure").returncode == 1
    assert lathe("verify", sealed.path, "--model", HELLO, "--gates", "residency").returncode == 0
    assert set(results(sealed.path)["gates"]) == {"structure", "residency"} and not results(sealed.path)["passed"]
    run = lathe("chat", sealed.path, "-p", "hello")
    assert run.returncode == 1 and "it failed gate 'structure'" in run.stderr
    path.write_bytes(good)
    assert lathe("verify", sealed.path, "--model", HELLO, "--gates", "residency").returncode == 0
    assert set(results(sealed.path)["gates"]) == {"residency"}


def test_kernels_are_not_mixed(sealed):
    run = lathe("verify", sealed.path, "--model", HELLO, "--gates", "residency", env={"LATHE_KERNELS": "scalar"})
    assert run.returncode == 0 and results(sealed.path)["kernels"] == results(sealed.path)["run"]["kernels"] == "scalar"
    if json.loads((sealed.path / "seal.json").read_text())["kernels"] == "scalar":
        pytest.skip("this machine has scalar kernels only")
    kept, ran, _ = resume(sealed.path)
    assert ran == {"contract", "residency"} and kept == set(NAMES) - ran
    assert "kernels scalar" in (sealed.path / "verify/journal.md").read_text()
    # A bundle that was proved with one set is run with another: the bounds hold for all.
    assert lathe("chat", sealed.path, "-p", "hello", "--max-tokens", 1, env={"LATHE_KERNELS": "scalar"}).returncode == 0


# ---- what results depend on

def test_a_changed_host_file(sealed):
    sealed.host_tensor("token_embd.weight")[5] ^= 1
    sealed.redigest()
    kept, ran, _ = resume(sealed.path)
    assert ran >= {gate.name for gate in GATES if "HOST" in gate.needs} and kept <= {"vote", "residency"}


def test_a_file_that_is_not_as_stated(sealed):
    """Digests of chain.json alone are not believed."""
    path = sealed.path / sealed.chain["shards"][0]["files"][2]["path"]
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    kept, ran, run = resume(sealed.path)
    assert not kept and run.returncode != 0, run.stdout
    assert "no earlier result is kept" in run.stderr and str(path) in run.stderr


def test_another_text_for_the_vote(sealed, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Show me hello world in Erlang. The capital of France is Paris. " * 20)
    kept, ran, run = resume(sealed.path, "--vote-text", text)
    assert ran == {"contract", "vote"}, run.stdout + run.stderr
    assert results(sealed.path)["inputs"] == inputs_of(sealed.path, vote=(sha256(text.read_bytes()), "0"))


@pytest.mark.full
def test_a_longer_vote(sealed):
    _, ran, _ = resume(sealed.path, "--vote-long", "--gates", "vote")
    report = results(sealed.path)
    assert ran == {"vote"} and report["inputs"] == inputs_of(sealed.path, vote=("", "1"))
    assert {s for s, gate in report["section_gates"].items() if gate == "vote"} == {"vote", "vote_long"}
    # A run that does not ask the vote leaves it as it is, under its own inputs; one that does, with other options, runs it.
    resume(sealed.path, "--gates", "structure")
    assert "vote_long" in results(sealed.path) and results(sealed.path)["inputs"] == report["inputs"]
    _, ran, _ = resume(sealed.path, "--gates", "vote")
    assert ran == {"vote"} and results(sealed.path)["inputs"] == inputs_of(sealed.path)


def test_the_publishers_files_settle_what_the_vote_could_not(sealed):
    config = MODELS / "hello-config.json"
    _, ran, run = resume(sealed.path, "--config", config)
    assert ran == {"contract", "vote"}, run.stdout
    assert results(sealed.path)["inputs"] == inputs_of(sealed.path, configs=[sha256(config.read_bytes())])
    assert "norm_eps" not in [line["scope"] for line in results(sealed.path)["unproved"]]


def test_inputs_are_those_documented(sealed):
    assert results(sealed.path)["inputs"] == inputs_of(sealed.path)


def test_a_report_of_another_lathe(sealed):
    """Of another build, of other kernels, and one of this build whose gate was less strict."""
    good = results(sealed.path)
    for other in ({"build": "0" * 64}, {"kernels": "abacus"}):
        report = {**good, "inputs": inputs_of(sealed.path, **other)}
        write_results(sealed.path, report)
        assert not resume(sealed.path, "--gates", "structure,residency")[0], other
    write_results(sealed.path, good)
    report = results(sealed.path)
    older = {gate.name: gate.schema - 1 for gate in GATES if gate.name == "residency"}
    report["inputs"] = inputs_of(sealed.path, schemas=older)
    write_results(sealed.path, report)
    kept, ran, _ = resume(sealed.path, "--gates", "structure,residency")
    assert kept == {"structure"} and ran == {"residency"}


def test_another_word_of_the_publisher(sealed, tmp_path):
    """It is for gate contract, which always runs, and for the vote, which says what it settles: what the others found stands, and
    the bundle is not sealed."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "phi3", "num_hidden_layers": 5}))
    kept, ran, run = resume(sealed.path, "--config", config)
    assert run.returncode == 1 and ran == {"contract", "vote"} and kept == set(NAMES) - ran, run.stdout + run.stderr
    assert "num_hidden_layers" in run.stdout and not (sealed.path / "seal.json").exists()


def test_another_source_of_the_same_contract(sealed, tmp_path):
    """One weight is another: nothing is compared with it, and what was proved stands."""
    other = tmp_path / HELLO.name
    data = bytearray(HELLO.read_bytes())
    data[-100] ^= 1
    other.write_bytes(data)
    before = {name: (sealed.path / name).read_bytes() for name in ("seal.json", "verify/report.json", "verify/report.html")}
    kept, ran, run = resume(sealed.path, "--model", other)
    assert run.returncode == 1 and not kept | ran and run.stdout == "", run.stdout + run.stderr
    assert "is another file than" in run.stderr and f"lathe convert {other} -o {sealed.path} --force" in run.stderr
    assert all((sealed.path / name).read_bytes() == before[name] for name in before)
    assert lathe("chat", sealed.path, "--model", HELLO, "-p", "hello", "--max-tokens", 1).returncode == 0


def test_a_report_of_another_bundle(sealed, tmp_path):
    """The same model with other options: only the vote says nothing of the packages."""
    other = tmp_path / "other.lathe"
    assert lathe("convert", HELLO, "-o", other, "--kv", "slice").returncode == 0
    shutil.rmtree(other / "verify", ignore_errors=True)
    shutil.copytree(sealed.path / "verify", other / "verify")
    kept, ran, run = resume(other, "--gates", "vote,structure,residency")
    assert kept == {"vote"} and ran == {"structure", "residency"}, run.stdout


@pytest.mark.parametrize("change", [lambda r: r.pop("inputs"), lambda r: r["inputs"].update({n: "0" * 64 for n in NAMES}),
                                    lambda r: r.pop("gates")])
def test_a_report_of_other_inputs(sealed, change):
    report = results(sealed.path)
    change(report)
    write_results(sealed.path, report)
    kept, ran, _ = resume(sealed.path, "--gates", "graph,structure")
    assert not kept and ran == {"graph", "structure"}


def test_a_broken_report(sealed):
    (sealed.path / "verify/report.json").write_text("{")
    kept, ran, run = resume(sealed.path, "--gates", "structure")
    assert run.returncode == 0 and ran == {"structure"}
    assert run.stderr.count("no earlier result is kept") == 1 and "report.json: line 1" in run.stderr


def test_no_report_at_all(sealed):
    (sealed.path / "verify/report.json").unlink()
    kept, ran, run = resume(sealed.path, "--gates", "structure")
    assert run.returncode == 0 and ran == {"structure"} and "report.json is missing" in run.stderr
