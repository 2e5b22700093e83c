"""A model is added by a file alone, and a wrong file is named."""

import shutil
from pathlib import Path

import pytest

from reelay.catalog.loader import DIRECTORY, load_catalog

HORN = """
[[models]]
name = "horn"
title = "Horn"
endpoint = "fal-ai/horn"
provider = "fal"
job_type = "ambient_elevenlabs"
timing = { expected = 5, patience = 10, poll_interval = 1, adoption_window = 60, deadline = 900 }
inputs.loudness = { kind = "integer", min = 1, max = 11, default = 5 }
price = { unit = "sound", rates = [{ cents = 1 }] }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(DIRECTORY / "models", tmp_path / "models")
    for name in ("aliases.toml", "defaults.toml"):
        shutil.copy(DIRECTORY / name, tmp_path)
    return tmp_path


def test_a_new_file_is_a_new_model(directory: Path) -> None:
    (directory / "models" / "horn.toml").write_text(HORN)
    horn = load_catalog(directory).find("horn")
    assert horn.arguments({"loudness": 11}) == {"loudness": 11}
    assert horn.price_cents({"loudness": 11}) == 1


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("default = 5", "default = 12", "must be an integer from 1 to 11"),
        ("rates = [{ cents = 1 }]", "rates = []", "price.rates"),
        ("rates = [{ cents = 1 }]", "rates = [{ cents = 1, when = { loudness = 11 } }]", "must have no `when`"),
        ('unit = "sound"', 'unit = "sound", measured = ["length"]', "no inputs: length"),
        ("min = 1, ", "minimum = 1, ", "minimum"),
        ("horn", "horn\n", "horn.toml"),
    ],
)
def test_a_wrong_file_is_named(directory: Path, right: str, wrong: str, complaint: str) -> None:
    (directory / "models" / "horn.toml").write_text(HORN.replace(right, wrong))
    with pytest.raises(ValueError, match=r"^horn\.toml: ") as raised:
        load_catalog(directory)
    assert complaint in str(raised.value)


def test_two_models_cannot_share_an_endpoint(directory: Path) -> None:
    (directory / "models" / "horn.toml").write_text(HORN.replace("fal-ai/horn", "fal-ai/whisper"))
    with pytest.raises(ValueError, match="share an endpoint"):
        load_catalog(directory)


def test_a_default_must_be_a_model_of_its_kind(directory: Path) -> None:
    defaults = directory / "defaults.toml"
    defaults.write_text(defaults.read_text().replace('"chatterbox"', '"whisper"'))
    with pytest.raises(ValueError, match="voice needs a standard model"):
        load_catalog(directory)


@pytest.fixture
def more(tmp_path: Path) -> Path:
    folder = tmp_path / "more"
    folder.mkdir()
    return folder


def test_a_folder_of_ones_own_adds_models(more: Path) -> None:
    (more / "horn.toml").write_text(HORN)
    catalog = load_catalog(more=more)
    assert catalog.find("horn").price_cents({"loudness": 11}) == 1
    assert catalog.find("veo3.1")


def test_a_model_there_takes_the_place_of_all_variants_of_its_name(more: Path) -> None:
    (more / "mine.toml").write_text(HORN.replace("horn", "veo3.1").replace("ambient_elevenlabs", "video_veo31"))
    catalog = load_catalog(more=more)
    assert [model.endpoint for model in catalog.models if model.name == "veo3.1"] == ["fal-ai/veo3.1"]
    assert "loudness" in catalog.find("veo3.1").inputs


def test_what_is_wrong_there_is_named_by_file_model_and_key(more: Path) -> None:
    for text, complaint in (
        (
            HORN.replace("min = 1, ", "minimum = 1, "),
            r"^horn\.toml: horn: inputs\.loudness\.integer\.min: Field required",
        ),
        (HORN.replace("fal-ai/horn", "fal-ai/whisper"), r"^horn\.toml: horn: endpoint: .* is that of whisper"),
        ("", r"^horn\.toml: models: "),
        ("[[models]", r"^horn\.toml: "),
    ):
        (more / "horn.toml").write_text(text)
        load_catalog.cache_clear()
        with pytest.raises(ValueError, match=complaint):
            load_catalog(more=more)


def test_two_files_there_cannot_have_a_model_of_one_name(more: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (more / name).write_text(HORN)
    with pytest.raises(ValueError, match=r"^b\.toml: horn: name: a\.toml"):
        load_catalog(more=more)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing is no folder"):
        load_catalog(more=tmp_path / "missing")
