"""In which language callers are answered: problems, jobs, streams, and the headers that tell."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reelay.domain.language import Language
from tests.integration.api.shared import problem
from tests.integration.api.streams import Stream
from tests.running import Service, running_service
from tests.servers import Servers

FRENCH = {"accept-language": "fr-FR,fr;q=0.9,en;q=0.8"}
PORTUGUESE = {"accept-language": "pt-BR"}
SILENT = "quiet [sim: webhook=lost]"


@pytest.mark.parametrize("path", ["/api/jobs", "/api/fal-jobs"])
@pytest.mark.parametrize(
    ("headers", "missing_key", "missing_job"),
    [
        ({}, "Not authenticated", "Job not found"),
        (FRENCH, "Non authentifié", "Génération introuvable"),
        (PORTUGUESE, "Não autenticado", "Geração não encontrada"),
    ],
)
async def test_error_is_a_sentence_in_the_language_asked_for(
    patient_service: Service, headers: dict[str, str], missing_key: str, missing_job: str, path: str
) -> None:
    client, address = patient_service.client, f"{path}/{uuid4()}"
    refused = problem(await client.get(address, headers=headers | {"authorization": ""}), 401, "UNAUTHENTICATED")
    absent = problem(await client.get(address, headers=headers), 404, "NOT_FOUND")

    assert refused["error"] == missing_key
    assert absent["error"] == absent["detail"] == missing_job


@pytest.mark.parametrize(
    ("headers", "detail", "messages"),
    [
        (
            FRENCH,
            "Le modèle n'accepte pas ces paramètres.",
            {
                "prompt": "est obligatoire : what the video shows",
                "duration": "doit être l'une de ces durées en secondes : 4, 6, 8",
                "durration": "n'est pas un paramètre de fal-ai/veo3.1 ; vouliez-vous dire « duration » ?",
            },
        ),
        (
            PORTUGUESE,
            "O modelo não aceita estes parâmetros.",
            {
                "prompt": "é obrigatório: what the video shows",
                "duration": "deve ser uma destas durações em segundos: 4, 6, 8",
                "durration": 'não é um parâmetro de fal-ai/veo3.1; você quis dizer "duration"?',
            },
        ),
    ],
)
async def test_wrong_fields_are_explained_in_the_language_asked_for(
    patient_service: Service, headers: dict[str, str], detail: str, messages: dict[str, str]
) -> None:
    body = {"duration": 7, "durration": 7}
    refused = problem(
        await patient_service.client.post("/api/generate/video", json=body, headers=headers), 422, "INVALID_PARAMS"
    )

    assert refused["detail"] == detail
    assert {error["field"]: error["message"] for error in refused["errors"]} == messages


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"limit": "x"}, "doit être un nombre entier"),
        ({"limit": 101}, "doit être au plus 100"),
        ({"clipId": "7"}, "doit être un UUID"),
        ({"status": "lost"}, "doit être l'une de ces valeurs : pending, submitted, in_progress"),
    ],
)
async def test_what_the_framework_finds_is_explained_as_well(
    patient_service: Service, params: dict[str, Any], message: str
) -> None:
    refused = problem(
        await patient_service.client.get("/api/jobs", params=params, headers=FRENCH), 422, "INVALID_PARAMS"
    )

    assert refused["errors"][0]["message"].startswith(message)


async def test_job_says_how_far_it_is_in_the_language_asked_for(patient_service: Service) -> None:
    job_id = await patient_service.create(SILENT)
    await patient_service.until_accepted(job_id)
    living = [await told(patient_service, job_id, headers) for headers in ({}, FRENCH, PORTUGUESE)]
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    await patient_service.until(job_id, "canceled")
    ended = [await told(patient_service, job_id, headers) for headers in ({}, FRENCH, PORTUGUESE)]

    assert [job["progressMessage"] for job in living] == [
        "Generating at fal",
        "Génération en cours chez fal",
        "Gerando em fal",
    ]
    assert {(job["errorCode"], job["errorAdvice"]) for job in living} == {(None, None)}
    assert [job["errorMessage"] for job in ended] == [
        "The generation was canceled.",
        "La génération a été annulée.",
        "A geração foi cancelada.",
    ]
    assert {job["errorCode"] for job in ended} == {"canceled"}
    assert ended[1]["errorAdvice"] == "Relancez si vous le voulez toujours."


async def test_providers_reason_is_quoted_as_it_came(patient_service: Service) -> None:
    job_id = await patient_service.create("bad [sim: fail=422]")
    reason = (await patient_service.until(job_id, "failed"))["errorMessage"]
    french = await told(patient_service, job_id, FRENCH)
    listed = (await patient_service.client.get("/api/jobs", headers=FRENCH)).json()["data"][0]

    assert french["errorMessage"] == f"Le fournisseur a refusé ces paramètres : « {reason} »"
    assert (listed["errorMessage"], listed["progressMessage"]) == (french["errorMessage"], "La génération a échoué")


async def told(service: Service, job_id: str, headers: dict[str, str]) -> dict[str, Any]:
    job: dict[str, Any] = (await service.client.get(f"/api/jobs/{job_id}", headers=headers)).json()
    return job


async def test_answers_say_their_language_and_their_etags_differ_by_it(patient_service: Service) -> None:
    address = f"/api/jobs/{await finished(patient_service)}"
    english, french = [await patient_service.client.get(address, headers=headers) for headers in ({}, FRENCH)]
    same = FRENCH | {"if-none-match": french.headers["etag"]}
    other = {"if-none-match": french.headers["etag"]}

    assert [answer.headers["content-language"] for answer in (english, french)] == ["en", "fr"]
    assert {name.strip() for name in french.headers["vary"].lower().split(",")} >= {"authorization", "accept-language"}
    assert (await patient_service.client.get(address, headers=same)).status_code == 304
    assert (await patient_service.client.get(address, headers=other)).status_code == 200
    assert "content-language" not in (await patient_service.client.get(english.json()["resultUrl"])).headers


async def finished(service: Service) -> str:
    job_id = await service.create()
    await service.until(job_id, "completed")
    return job_id


async def test_readers_of_one_job_are_each_streamed_their_own_language(patient_service: Service) -> None:
    job_id = await patient_service.create("streamed [sim: latency=1s]")

    async def last(headers: dict[str, str]) -> str:
        async with patient_service.client.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as response:
            assert response.headers["content-language"] == headers.get("accept-language", "en")[:2]
            return str((await Stream(response).until_end())[-1].job["progressMessage"])

    said = await asyncio.gather(*(last(headers) for headers in ({}, FRENCH, PORTUGUESE)))
    assert said == ["Completed", "Génération terminée avec succès", "Geração concluída com sucesso"]


async def test_language_can_be_set_for_all_who_ask_for_none_of_ours(servers: Servers) -> None:
    async with running_service(servers, worker=False, language=Language.FRENCH) as service:
        for headers in ({}, {"accept-language": "de"}):
            answer = await service.client.get(f"/api/jobs/{uuid4()}", headers=headers)
            assert answer.json()["error"] == "Génération introuvable"
        page = await service.client.get("/")
        assert '<html lang="fr">' in page.text
        assert page.headers["content-language"] == "fr"


async def test_an_unknown_address_and_method_are_told_of_in_french(patient_service: Service) -> None:
    client: httpx.AsyncClient = patient_service.client
    assert (await client.get("/api/nothing", headers=FRENCH)).json()["error"] == "Introuvable"
    assert (await client.delete("/api/credits", headers=FRENCH)).json()["error"] == "Méthode non autorisée"
