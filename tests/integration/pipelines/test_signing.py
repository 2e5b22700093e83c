"""Films with Content Credentials of their own."""

from pathlib import Path

from tests.certificates import Authority
from tests.content_credentials import manifests_of, poisoned, signed
from tests.integration.pipelines.shared import VOICE, create, until
from tests.running import running_service
from tests.servers import Servers
from tests.unit.media.samples import make_video


async def test_a_mixed_film_is_signed_with_its_ingredients(servers: Servers, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    house, studio = authority.issue_signer("Film House"), authority.issue_signer("Example Studio")
    plain = make_video(tmp_path / "plain.mp4")
    scenes = [
        signed(plain, tmp_path / "scene.mp4", "video/mp4", studio).read_bytes(),
        poisoned(plain, tmp_path / "poison.mp4").read_bytes(),
    ]
    async with running_service(
        servers,
        content_credentials="sign",
        content_credentials_cert=house.file,
        content_credentials_key=house.key_file,
        content_credentials_trust_anchors=authority.file,
    ) as service:
        assets = [await service.client.post("/api/uploads", files={"file": ("scene.mp4", each)}) for each in scenes]
        good, bad = (asset.json()["uri"] for asset in assets)
        film = {"kind": "mix", "video": good, "tracks": [{"source": "step:voice"}]}
        worse = {"kind": "mix", "video": [good, bad]}
        steps = {"voice": VOICE, "film": film, "worse": worse}
        done = (await until(service, await create(service, steps), "completed"))["steps"]
        files = {name: done[name]["files"][0] for name in ("film", "worse")}
        kept = {name: (await service.client.get(file["fileUrl"])).content for name, file in files.items()}

    trusted = {"state": "trusted", "issuer": "Film House", "generator": "Reelay"}
    for name, source_type, ingredients in (
        ("film", "compositeSynthetic", ["video.mp4", "audio.wav"]),
        ("worse", "composite", ["video.mp4", "video.mp4"]),
    ):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(kept[name])
        found = manifests_of(path, authority.file)
        manifest = found["manifests"][found["active_manifest"]]
        assert (files[name]["provenance"], found["validation_state"]) == (trusted, "Trusted")
        assert [each["title"] for each in manifest["ingredients"]] == ingredients
        assert f'/{source_type}"' in str(manifest["assertions"]).replace("'", '"')
    assert (
        sum(
            each["signature_info"]["issuer"] == "Example Studio"
            for each in manifests_of(tmp_path / "film.mp4")["manifests"].values()
        )
        == 1
    )
