"""lathe pull against a server that behaves as the hub and its CDN do (hub_server.py), well and badly. Never a network."""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest
from command import HELLO, LATHE, done, lathe
from hub_server import COMMIT, Hub, sha256
from terminal import Terminal
from test_cli_json import fits

DONE, USAGE, FORMAT, SYSTEM = 0, 2, 3, 4
MODEL = HELLO.read_bytes()
Q8 = "hello-phi3-Q8_0.gguf"
# Whatever the user has set must not be used, nor a proxy asked.
CLEAN = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_DOWNLOAD_TIMEOUT", "SSL_CERT_FILE", "LATHE_STORE", "http_proxy", "https_proxy", "all_proxy",
         "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")  # fmt: skip
TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def plain(hub):
    """A repository with three models."""
    hub.add("u/r", {Q8: MODEL, "hello-phi3-Q4_K_M.gguf": MODEL[:5000], "README.md": b"# hello", "mmproj-F16.gguf": b"x" * 100})
    return hub


@pytest.fixture
def env(hub, tmp_path):
    return {**{name: "" for name in CLEAN}, "no_proxy": "127.0.0.1", "HF_ENDPOINT": hub.url, "LATHE_STORE": str(tmp_path / "store")}


def model_dir(env, repo="u--r", stem="hello-phi3-Q8_0"):
    return pathlib.Path(env["LATHE_STORE"]) / repo / stem


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def refused(env, *args, code, says):
    run = lathe("pull", *args, env=env)
    assert (run.returncode, run.stdout) == (code, ""), run
    assert run.stderr.count("\n") - run.stderr.count("]\n") == 1 and says in run.stderr, run.stderr
    assert TOKEN not in run.stderr
    return run.stderr


# ---- one file


def test_a_pull(plain, env):
    run = done("pull", "hf:u/r", env=env)
    path = model_dir(env) / Q8
    first, second = run.stdout.splitlines()
    assert first == f"hf:u/r:Q8_0: {len(MODEL) / 1e6:.1f} MB in 1 file, commit {COMMIT[:12]}, sha256 as the hub states"
    assert second == str(path) and path.read_bytes() == MODEL
    assert names(model_dir(env)) == [Q8, "pulled.json"]
    told = json.loads((model_dir(env) / "pulled.json").read_text())
    assert told["commit"] == COMMIT and told["model"] == [{"path": Q8, "bytes": len(MODEL), "sha256": sha256(MODEL)}]
    done("inspect", path)


def test_again_asks_the_cdn_for_nothing(plain, env):
    done("pull", "hf:u/r", env=env)
    n, before = len(plain.cdn.log), (model_dir(env) / Q8).stat()
    run = done("pull", "hf:u/r:q8_0", env=env)
    assert "; all was there" in run.stdout and len(plain.cdn.log) == n
    assert (model_dir(env) / Q8).stat() == before


def test_json(plain, env):
    said = fits("pull", json.loads(done("pull", "hf:u/r", "--json", env=env).stdout))
    assert said["path"] == str(model_dir(env) / Q8) and said["fetched"] == said["bytes"] == len(MODEL)
    assert said["files"] == [{"path": Q8, "bytes": len(MODEL), "sha256": sha256(MODEL)}] and said["commit"] == COMMIT
    assert json.loads(done("pull", "hf:u/r", "--json", "--offline", env=env).stdout)["fetched"] == 0
    failed = lathe("pull", "hf:u/none", "--json", env=env)
    assert json.loads(failed.stdout) == {"error": failed.stderr.split(": ", 1)[1].strip(), "code": SYSTEM}


def test_a_split_model_with_a_tree_of_many_pages(hub, env):
    parts = {f"Q8_0/m-{i:05}-of-00003.gguf": bytes([i]) * 70000 for i in (1, 2, 3)}
    hub.add("u/r", {**parts, **{f"notes/{i}.txt": b"x" for i in range(20)}, "m-Q2_K.gguf": b"y"})
    hub.page = 3
    run = done("pull", "hf:u/r", env=env)
    folder = model_dir(env, stem="Q8_0--m")
    assert run.stdout.splitlines()[1] == str(folder / "m-00001-of-00003.gguf") and "in 3 files" in run.stdout
    assert {f"Q8_0/{p.name}": p.read_bytes() for p in folder.glob("*.gguf")} == parts


def test_names_with_spaces_and_letters(hub, env):
    hub.add("u/r", {"ä b/m ü#1%-Q8_0.gguf": b"data"})
    done("pull", "hf:u/r", env=env)
    assert (model_dir(env, stem="ä b--m ü#1%-Q8_0") / "m ü#1%-Q8_0.gguf").read_bytes() == b"data"


def test_a_revision_has_a_folder_of_its_own(plain, env):
    done("pull", "hf:u/r@refs/pr/1:Q8_0", env=env)
    assert names(model_dir(env).parent) == ["hello-phi3-Q8_0@refs--pr--1"]
    assert "refs%2Fpr%2F1" in plain.log[0][0]
    says = "hf:u/r has no such revision (HTTP 404): expected a branch, a tag or a commit after '@'"
    refused(env, "hf:u/r@nowhere", code=SYSTEM, says=says)


def test_a_new_version_replaces_the_old_one(plain, env):
    done("pull", "hf:u/r", env=env)
    plain.add("u/r", {Q8: b"new" + MODEL}, commit="f" * 40)
    assert "f" * 12 in done("pull", "hf:u/r:Q8_0", env=env).stdout
    assert (model_dir(env) / Q8).read_bytes() == b"new" + MODEL and names(model_dir(env)) == [Q8, "pulled.json"]


def test_a_person_sees_how_far_it_is_and_how_long_it_takes(plain, env):
    plain.cdn.seconds_a_piece = 0.2
    with Terminal([LATHE, "pull", "hf:u/r"], env=env) as terminal:
        assert terminal.finish() == 0, terminal.output
    shares = [int(share) for share in re.findall(r"\rpull (\d+) %, \d\.\d MB/s, about \d+ s left", terminal.output)]
    assert len(set(shares)) > 2 and shares == sorted(shares)


# ---- the choice


@pytest.mark.parametrize("which, says", [
    ("Q5_K_M", "hf:u/r:Q5_K_M is not there; there are: Q4_K_M (0.0 MB), Q8_0 (1.2 MB)"),
    ("mmproj-F16.gguf", "hf:u/r:mmproj-F16.gguf is not there; there are: "),
])
def test_what_is_not_there_is_told_with_what_is(plain, env, which, says):
    refused(env, f"hf:u/r:{which}", code=USAGE, says=says)
    assert not pathlib.Path(env["LATHE_STORE"]).exists()


def test_ambiguous(hub, env):
    hub.add("u/r", {"a-Q8_0.gguf": b"a", "b-Q8_0.gguf": b"b"})
    refused(env, "hf:u/r", code=USAGE, says="hf:u/r has several models: add which one after a colon; there are: a-Q8_0.gguf (")
    done("pull", "hf:u/r:b-Q8_0.gguf", env=env)


def test_no_model(hub, env):
    hub.add("u/r", {"model.safetensors": b"x"})
    refused(env, "hf:u/r", code=FORMAT, says="hf:u/r has no GGUF file; name a repository that has")


@pytest.mark.parametrize("name", ["u/r", "hf:r", "hf:u/../r", "hf:u/r:../../x", "https://huggingface.co/u/r"])
def test_a_wrong_name(env, name):
    refused(env, name, code=USAGE, says=f"{name}: no name of a model, expected hf:USER/REPO")


# ---- the token


def test_the_token_goes_to_the_hub_and_nowhere_else(hub, env):
    hub.add("u/r", {Q8: MODEL}, is_gated=True)
    hub.tokens[TOKEN] = ["u/r"]
    hub.cdn.breaks.append(100000)
    run = done("pull", "hf:u/r", env={**env, "HF_TOKEN": f" {TOKEN}\n"})
    assert {headers.get("Authorization") for _, headers in hub.log} == {f"Bearer {TOKEN}"}
    assert hub.cdn.log and not any("Authorization" in headers for _, headers in hub.cdn.log)
    assert TOKEN not in run.stdout + run.stderr
    assert not any(TOKEN.encode() in p.read_bytes() for p in model_dir(env).iterdir())


def test_gated(hub, env):
    hub.add("u/r", {Q8: MODEL}, is_gated=True)
    hub.tokens[TOKEN] = []
    says = f"hf:u/r is gated (HTTP 401): accept its terms at {hub.url}/u/r and set HF_TOKEN to a token of that account"
    refused(env, "hf:u/r", code=SYSTEM, says=says)
    refused({**env, "HF_TOKEN": TOKEN}, "hf:u/r", code=SYSTEM, says="the token that is set has no access")
    refused({**env, "HF_TOKEN": "hf_old"}, "hf:u/r", code=SYSTEM, says="does not accept the token in HF_TOKEN (HTTP 401)")


def test_absent(hub, env):
    says = f"hf:u/none is not on {hub.url}, or not for everyone (HTTP 401): check the name; for a private repository set HF_TOKEN"
    refused(env, "hf:u/none", code=SYSTEM, says=says)
    hub.tokens[TOKEN] = []
    refused({**env, "HF_TOKEN": TOKEN}, "hf:u/none", code=SYSTEM, says=f"hf:u/none is not on {hub.url} (HTTP 404): check the name")


@pytest.mark.parametrize("variable, value", [
    ("HF_TOKEN", "hf_a\r\nX-Evil: 1"), ("HF_ENDPOINT", "ftp://x"), ("HF_ENDPOINT", "http://me:secret@127.0.0.1"),
    ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"), ("HF_HUB_DOWNLOAD_TIMEOUT", "0"),
])  # fmt: skip
def test_a_wrong_variable(plain, env, variable, value):
    said = refused({**env, variable: value}, "hf:u/r", code=USAGE, says=variable)
    assert "secret" not in said and "Evil" not in said and not plain.log


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(plain, env, tmp_path):
    (tmp_path / "x").write_text("x")
    for place in (f"file://{tmp_path}/x", "gopher://127.0.0.1/x", "ftp://127.0.0.1/x"):
        plain.refusals.append((302, {"Location": place}))
        assert "rotocol" in refused(env, "hf:u/r", code=SYSTEM, says=place.split("/")[0])


def test_endless_redirects(plain, env):
    plain.refusals.extend([(302, {"Location": f"{plain.url}/again"})] * 10)
    refused(env, "hf:u/r", code=SYSTEM, says="more than 5 redirects")


@pytest.fixture
def certificate(tmp_path):
    """For 127.0.0.1, signed by nobody; key and certificate in one file."""
    path = tmp_path / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path


def test_a_certificate_that_nobody_signed(plain, env, certificate, tmp_path):
    plain.secure(certificate)
    plain.cdn.secure(certificate)
    env = {**env, "HF_ENDPOINT": plain.url, "HF_TOKEN": TOKEN}
    plain.tokens[TOKEN] = []
    assert "certificate" in refused(env, "hf:u/r", code=SYSTEM, says=f"{plain.url}: ")
    assert not plain.log
    done("pull", "hf:u/r", env={**env, "SSL_CERT_FILE": str(tmp_path / "cert.pem")})


def test_a_redirect_out_of_tls_is_not_followed(plain, env, certificate, tmp_path):
    plain.secure(certificate)  # the CDN stays without
    env = {**env, "HF_ENDPOINT": plain.url, "SSL_CERT_FILE": str(tmp_path / "cert.pem")}
    assert "rotocol" in refused(env, "hf:u/r", code=SYSTEM, says=plain.cdn.url)
    assert not plain.cdn.log


# ---- breaks


def test_breaks_in_mid_file_are_resumed(plain, env):
    plain.cdn.breaks.extend([300000, 0, 500000])
    run = done("pull", "hf:u/r", env=env)
    assert (model_dir(env) / Q8).read_bytes() == MODEL
    ranges = [(headers.get("Range"), headers.get("If-Range")) for _, headers in plain.cdn.log]
    etag = f'"{sha256(MODEL)[:32]}"'
    assert ranges == [(None, None), ("bytes=300000-", etag), ("bytes=300000-", etag), ("bytes=800000-", etag)]
    assert run.stderr.count("again in") == 3


def test_a_server_without_ranges_sends_all_again(plain, env):
    plain.cdn.has_ranges = False
    plain.cdn.breaks.append(300000)
    done("pull", "hf:u/r", env=env)
    assert (model_dir(env) / Q8).read_bytes() == MODEL and len(plain.cdn.log) == 2


def test_another_etag_starts_anew(plain, env):
    etags = iter(['"one"', '"two"', '"two"'])
    plain.cdn.etag = lambda _: next(etags)
    plain.cdn.breaks.append(300000)
    done("pull", "hf:u/r", env=env)
    assert (model_dir(env) / Q8).read_bytes() == MODEL and len(plain.cdn.log) == 2


def slow_pull(hub, env):
    """Starts a pull that takes seconds, and returns it once part of the file is there."""
    hub.cdn.seconds_a_piece = 0.2
    process = subprocess.Popen([LATHE, "pull", "hf:u/r"], env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    part = model_dir(env) / f"{Q8}.{sha256(MODEL)[:12]}.part"
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    return process, part


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_pull_goes_on(plain, env, how):
    process, part = slow_pull(plain, env)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == (SYSTEM if how == signal.SIGINT else -how)
    assert how == signal.SIGKILL or "stopped; what came so far is kept" in said
    had = part.stat().st_size
    assert 0 < had < len(MODEL) and not json.loads((model_dir(env) / "pulled.json").read_text())["complete"]
    refused(env, "hf:u/r", "--offline", code=SYSTEM, says="hf:u/r is not in the store; `lathe pull hf:u/r` brings it")
    plain.cdn.seconds_a_piece = 0
    said = json.loads(done("pull", "hf:u/r", "--json", env=env).stdout)
    assert plain.cdn.log[-1][1]["Range"] == f"bytes={had}-" and "If-Range" in plain.cdn.log[-1][1]
    assert said["fetched"] == len(MODEL) - had and (model_dir(env) / Q8).read_bytes() == MODEL
    assert names(model_dir(env)) == [Q8, "pulled.json"]


def test_a_part_that_was_written_into_is_found_out(plain, env):
    process, part = slow_pull(plain, env)
    process.kill()
    process.communicate()
    with open(part, "r+b") as f:
        f.write(b"#")
    refused(env, "hf:u/r", code=FORMAT, says="damaged on the way, so it was removed; pull again")
    plain.cdn.seconds_a_piece = 0
    done("pull", "hf:u/r", env=env)
    assert (model_dir(env) / Q8).read_bytes() == MODEL


def test_a_part_longer_than_the_file_is_dropped(plain, env):
    folder = model_dir(env)
    folder.mkdir(parents=True)
    (folder / f"{Q8}.{sha256(MODEL)[:12]}.part").write_bytes(MODEL + b"more")
    (folder / f"{Q8}.000000000000.part").write_bytes(b"of an older version")
    done("pull", "hf:u/r", env=env)
    assert names(folder) == [Q8, "pulled.json"] and (folder / Q8).read_bytes() == MODEL


def test_a_whole_part_needs_no_transfer(plain, env):
    folder = model_dir(env)
    folder.mkdir(parents=True)
    (folder / f"{Q8}.{sha256(MODEL)[:12]}.part").write_bytes(MODEL)
    done("pull", "hf:u/r", env=env)
    assert (folder / Q8).read_bytes() == MODEL and not plain.cdn.log


def test_two_at_once_share_one_download(plain, env):
    process, _ = slow_pull(plain, env)
    second = lathe("pull", "hf:u/r", env=env)
    first = process.communicate(timeout=60)[0]
    assert process.returncode == second.returncode == 0 and "all was there" in second.stdout and "all was there" not in first
    assert f"process {process.pid} pulls the same model: waiting for it" in second.stderr
    assert len(plain.cdn.log) == 1


def test_a_stall_counts_as_a_break(plain, env):
    plain.cdn.seconds_a_piece = 20
    process = subprocess.Popen([LATHE, "pull", "hf:u/r"], env={**os.environ, **env, "HF_HUB_DOWNLOAD_TIMEOUT": "1"},
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert "too slow" in line and "again in" in line


# ---- what is not as stated


def test_a_wrong_digest(plain, env):
    plain.cdn.change = lambda data: data[:-1] + b"#"
    came, stated = sha256(MODEL[:-1] + b"#"), sha256(MODEL)
    refused(env, "hf:u/r", code=FORMAT, says=f"{Q8}: its sha256 is {came[:16]}…, and the hub states {stated[:16]}…")
    assert names(model_dir(env)) == ["pulled.json"]


@pytest.mark.parametrize("change", [lambda data: data + b"more", lambda data: data[:-7], lambda data: b""])
def test_a_wrong_length(plain, env, change):
    plain.cdn.change = change
    refused(env, "hf:u/r", code=FORMAT, says=f"{Q8}: the server sends {len(change(MODEL))} bytes, and the hub lists {len(MODEL)}")


def test_a_file_without_a_sha256(hub, env):
    hub.add("u/r", {"m.GGUF": b"x"})  # not in LFS, by its name
    refused(env, "hf:u/r", code=FORMAT, says="the hub states no SHA-256 of m.GGUF")


@pytest.mark.parametrize("tree, says", [
    (b"<html>captive portal", "the hub's list of files: line 1"), (b"{}", "expected a JSON array"),
    (b'[{"path": "../../../../tmp/x-Q8_0.gguf", "oid": "' + b"0" * 40 + b'", "size": 1}]',
     "a file called \"../../../../tmp/x-Q8_0.gguf\", expected a path inside the repository"),
    (b'[{"path": "a.gguf", "oid": "' + b"0" * 40 + b'", "size": 99999999999999999999}]', "too big integer"),
])  # fmt: skip
def test_a_hostile_list(plain, env, tree, says):
    plain.tree_text = tree
    refused(env, "hf:u/r", code=FORMAT, says=says)


def test_a_page_at_another_place(plain, env):
    plain.page = 1
    plain.url, url = "http://127.0.0.1:1", plain.url  # what Link names
    refused({**env, "HF_ENDPOINT": url}, "hf:u/r", code=FORMAT, says="page 2 is at another place")


# ---- room


def test_no_room_is_told_before(hub, env):
    hub.add("u/r", {Q8: b"x"}).sizes[Q8] = 1 << 49
    refused(env, "hf:u/r", code=SYSTEM, says="562949953.4 MB are still to come, and ")
    assert not hub.cdn.log


def test_a_disk_that_fills_up(plain, env):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000))

    run = subprocess.run([LATHE, "pull", "hf:u/r"], env={**os.environ, **env}, capture_output=True, text=True, preexec_fn=limit,
                         restore_signals=False)  # fmt: skip
    assert run.returncode == SYSTEM and "File too large; what came so far is kept: make room, or set LATHE_STORE" in run.stderr
    done("pull", "hf:u/r", env=env)
    assert plain.cdn.log[-1][1]["Range"] == "bytes=500000-"


# ---- refusals that pass, or do not


def test_a_short_wait_is_waited(plain, env):
    plain.refusals.append((429, {"Retry-After": "1"}))
    plain.cdn.refusals.append((429, {"RateLimit": '"resolve";r=0;t=1'}))
    start = time.monotonic()
    run = done("pull", "hf:u/r", env=env)
    assert time.monotonic() - start >= 2 and run.stderr.count("asks to wait 1 s (HTTP 429)") == 2


def test_a_long_wait_is_told(plain, env):
    plain.refusals.append((429, {"Retry-After": "3600"}))
    says = f"{plain.url} asks to wait 3600 s (HTTP 429): pull again after that, it goes on where it was; with a token"
    refused(env, "hf:u/r", code=SYSTEM, says=says)


def test_a_hub_in_trouble(plain, env):
    plain.refusals.extend([(503, {}), (502, {})])
    assert done("pull", "hf:u/r", env=env).stderr.count("again in") == 2


def test_another_kind_of_server(plain, env):
    plain.refusals.append((418, {"X-Error-Message": "teapot \x1b[31m"}))
    refused(env, "hf:u/r", code=SYSTEM, says="answers HTTP 418, teapot ?[31m where a hub has hf:u/r; check HF_ENDPOINT")


def test_no_network(env):
    says = "no connection to the hub; --offline uses what the store has"
    refused({**env, "HF_ENDPOINT": "http://127.0.0.1:1"}, "hf:u/r", code=SYSTEM, says=says)
    refused({**env, "HF_ENDPOINT": "http://no.such.host.invalid"}, "hf:u/r", code=SYSTEM, says="no connection to the hub")


def test_offline_asks_nobody(plain, env):
    refused(env, "hf:u/r", "--offline", code=SYSTEM, says="hf:u/r is not in the store; `lathe pull hf:u/r` brings it")
    assert not plain.log
    done("pull", "hf:u/r", env=env)
    n = len(plain.log)
    run = done("pull", "hf:u/r", "--offline", env=env)
    assert run.stdout.endswith(f"{model_dir(env) / Q8}\n") and len(plain.log) == n
    refused(env, "hf:u/r:Q4_K_M", "--offline", code=USAGE, says="hf:u/r:Q4_K_M is not there; there are: Q8_0")


# ---- the store


def listed(env):
    return {m["name"]: m for m in fits("list", json.loads(done("list", "--json", env=env).stdout))["models"]}


def test_list_and_rm(plain, env):
    assert done("list", env=env).stdout == f"{env['LATHE_STORE']}: 0 models, 0.0 MB\n"
    done("pull", "hf:u/r:Q8_0", env=env)
    done("pull", "hf:u/r:Q4_K_M", env=env)
    lines = done("list", env=env).stdout.splitlines()
    path = model_dir(env, stem="hello-phi3-Q4_K_M") / "hello-phi3-Q4_K_M.gguf"
    assert lines[0].split() == ["hf:u/r:Q4_K_M", "0.0", "MB", COMMIT[:12], str(path)]
    assert lines[1].startswith("hf:u/r:Q8_0 ") and lines[2].startswith(f"{env['LATHE_STORE']}: 2 models, 1.2 MB")
    assert listed(env)["hf:u/r:Q8_0"]["bytes"] == len(MODEL)
    run = lathe("rm", "hf:u/r", env=env)
    assert run.returncode == USAGE and "which of them? hf:u/r:Q4_K_M, hf:u/r:Q8_0" in run.stderr
    assert done("rm", "hf:u/r:q8_0", env=env).stdout == "hf:u/r:Q8_0: 1.2 MB, removed\n"
    done("rm", "hf:u/r", env=env)
    assert list(pathlib.Path(env["LATHE_STORE"]).iterdir()) == []
    run = lathe("rm", "hf:u/r", env=env)
    assert run.returncode == SYSTEM and "hf:u/r is not in the store" in run.stderr


def test_a_stopped_pull_is_listed_and_removed(plain, env):
    process, part = slow_pull(plain, env)
    run = lathe("rm", "hf:u/r", env=env)
    assert run.returncode == SYSTEM and f"is in use by process {process.pid}" in run.stderr
    process.kill()
    process.communicate()
    assert "in part, of 1.2 MB: lathe pull hf:u/r:Q8_0 goes on" in done("list", env=env).stdout
    row = listed(env)["hf:u/r:Q8_0"]
    assert not row["complete"] and row["path"] is None and row["stored_bytes"] >= part.stat().st_size
    done("rm", "hf:u/r", env=env)
    assert not part.exists()


def test_a_damaged_folder_is_told_and_left_out(plain, env):
    done("pull", "hf:u/r:Q8_0", env=env)
    broken = model_dir(env, stem="broken")
    broken.mkdir()
    (broken / "pulled.json").write_text("{")
    run = done("list", env=env)
    assert "1 model," in run.stdout and "broken/pulled.json" in run.stderr and "not a model that lathe knows" in run.stderr
