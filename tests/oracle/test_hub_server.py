"""The stand-in for the hub (hub_server.py), asked by huggingface_hub: what lathe is tested against is what the hub's own client takes."""

import pytest
from hub_server import COMMIT, Hub, git_id, sha256
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

FILES = {"sub/m-Q8_0.gguf": b"model" * 50000, "config.json": b"{}", "a b.txt": b"x"}


@pytest.fixture
def hub():
    server = Hub()
    server.add("u/r", FILES, base="o/m", tags=["base_model:quantized:o/m"])
    yield server
    server.close()


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


def test_a_repository(api):
    info = api.model_info("u/r")
    assert info.sha == COMMIT and info.card_data.base_model == "o/m" and info.gated is False


def test_files_over_several_pages(hub, api):
    hub.page = 2
    found = {f.path: f for f in api.list_repo_tree("u/r", recursive=True, revision=COMMIT) if hasattr(f, "blob_id")}
    assert {path: f.size for path, f in found.items()} == {path: len(data) for path, data in FILES.items()}
    assert found["sub/m-Q8_0.gguf"].lfs.sha256 == sha256(FILES["sub/m-Q8_0.gguf"])
    assert found["a b.txt"].lfs is None and found["a b.txt"].blob_id == git_id(b"x")


@pytest.mark.parametrize("path", FILES)
def test_a_download_through_the_cdn(hub, tmp_path, path):
    got = hf_hub_download("u/r", path, endpoint=hub.url, token=False, cache_dir=tmp_path)
    assert open(got, "rb").read() == FILES[path]
    assert len(hub.cdn.log) == (1 if path.endswith("gguf") else 0)


@pytest.mark.parametrize("repo, path, error", [
    ("u/none", "x", RepositoryNotFoundError), ("u/r", "none", EntryNotFoundError), ("u/gated", "m.gguf", GatedRepoError),
])
def test_refusals(hub, tmp_path, repo, path, error):
    hub.add("u/gated", {"m.gguf": b"x"}, is_gated=True)
    with pytest.raises(error):
        hf_hub_download(repo, path, endpoint=hub.url, token=False, cache_dir=tmp_path)


def test_a_revision_that_is_not_there(api):
    with pytest.raises(RevisionNotFoundError):
        api.model_info("u/r", revision="nowhere")
