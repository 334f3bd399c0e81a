import hashlib
import json

import pytest
from typer.testing import CliRunner

import mien
from mien import __version__, weights
from mien.cli import app, main
from mien.features.extractor import create_extractor
from mien.weights import registry

MOODS = mien.Task("categories", ("glad", "glum"))


def doctor(*arguments: str):
    return CliRunner().invoke(app, ["doctor", *arguments])


@pytest.mark.usefixtures("encoders")
def test_everything_here_is_a_clean_bill():
    done = doctor()
    assert done.exit_code == 0, done.output
    assert f"mien {__version__}" in done.output
    assert "device: " in done.output
    for name in weights.names():
        assert "verified" in line_of(name, done.output)


def test_what_is_missing_is_named_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    done = doctor()
    assert done.exit_code == 1
    assert "yunet" in done.output
    assert "missing" in done.output
    assert "mien doctor --fetch" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A trained model as if it came with mien, and its file."""
    extractor = create_extractor("mfcc")
    sizes = {"audio": extractor.shape[0]}
    model = mien.create_model("linear_probe", task=MOODS, modalities=sizes).eval()
    path = tmp_path / "moods.safetensors"
    mien.TrainedModel("linear_probe", model, {"audio": extractor.spec()}).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {"name": "moods", "file": path.name, "sha256": digest, "licence": "mine", "card": "-"}
    (tmp_path / "index.json").write_text(json.dumps([entry]))
    monkeypatch.setattr(registry, "TRAINED", tmp_path)
    return path


def line_of(name: str, output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.strip().startswith(f"{name} ")]
    return line


def test_a_trained_model_is_listed_as_such_with_what_it_answers(shipped):
    output = doctor().output
    assert output.index("trained models") < output.index("moods")
    line = line_of("moods", output)
    assert "verified" in line
    assert "glad, glum per clip; mine" in line


def test_a_trained_model_that_was_changed_is_damaged(shipped):
    shipped.write_bytes(shipped.read_bytes() + b"x")
    done = doctor()
    assert done.exit_code == 1
    assert "DAMAGED" in line_of("moods", done.output)
    assert "install mien again" in done.output


def test_fetching_offline_says_why_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setenv("MIEN_OFFLINE", "1")
    done = doctor("--fetch")
    assert done.exit_code == 1
    assert "MIEN_OFFLINE" in done.output


def test_the_version_is_said():
    done = CliRunner().invoke(app, ["--version"])
    assert done.output.strip() == f"mien {__version__}"


def test_models_lists_everything():
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0, done.output
    for name in ("sfav_ia", "mmte_ammtd", "vavl", "cross_attention", "mater", "linear_probe"):
        assert name in done.output


def test_a_table_of_models_that_goes_into_a_pipe_is_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["models", "--audio", "12", "--video", "7"])
    assert done.exit_code == 0, done.output
    assert "…" not in done.output
    row = next(line for line in done.output.splitlines() if "mmte_fc" in line)
    assert "Vazquez-Rodriguez et al. 2023, 6.1" in row
    assert "left out, then zeros" in row
    assert "12 features of audio and 7 of video, 7 categories per clip" in done.output


@pytest.mark.parametrize("option", ["--audio", "--video"])
def test_models_for_no_features_are_an_error(option, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mien", "models", option, "0"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code != 0
    assert f"{option[2:]} has 0 features" in capsys.readouterr().err


def test_formats_lists_everything():
    done = CliRunner().invoke(app, ["formats"])
    assert all(
        name in done.output for name in ("csv", "parquet", "json", "vtt", "textgrid", "html")
    )
