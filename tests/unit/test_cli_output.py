"""What commands print of a job."""

from typing import Any

import pytest

from reelay.cli.output import show_job

URL = "https://api.example.com/files/video.mp4"


def job(**file: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "status": "completed",
        "progress": 100,
        "progressMessage": "Completed",
        "errorCode": None,
        "files": [{"fileUrl": URL, "flagged": False, "provenance": None} | file],
    }


@pytest.mark.parametrize(
    ("file", "note"),
    [
        ({}, ""),
        ({"provenance": {"state": "none", "issuer": None, "generator": None}}, ""),
        (
            {"provenance": {"state": "trusted", "issuer": "Example Studio", "generator": "Example Model"}},
            "  Content Credentials: trusted, signed by Example Studio",
        ),
        (
            {"provenance": {"state": "valid", "issuer": None, "generator": None}},
            "  Content Credentials: valid, signed as an unnamed signer, for whom no trusted authority vouches",
        ),
        (
            {"flagged": True, "provenance": {"state": "invalid", "issuer": None, "generator": None}},
            "  flagged by the safety check  Content Credentials: invalid",
        ),
    ],
)
def test_a_job_shows_what_its_files_credentials_are_worth(
    file: dict[str, Any], note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_job(job(**file), as_json=False)
    assert capsys.readouterr().out == f"1  completed  100%  Completed\n  {URL}{note}\n"
