"""What an answer says of its files' safety is kept with each of them."""

from typing import Any

import pytest

from reelay.providers.media_mapping import media_of
from reelay.providers.safety_flags import with_safety_flags

A, B = "https://v3.fal.media/files/a.jpg", "https://v3.fal.media/files/b.jpg"
BOTH = [{"url": A}, {"url": B}]


@pytest.mark.parametrize(
    ("answer", "flagged"),
    [
        ({"images": BOTH, "has_nsfw_concepts": [False, True]}, {B}),
        ({"images": BOTH, "has_nsfw_concepts": [True, True]}, {A, B}),
        ({"images": BOTH, "has_nsfw_concepts": [False, False]}, set()),
        ({"images": BOTH, "has_nsfw_concepts": [True]}, {A, B}),
        ({"images": BOTH, "has_nsfw_concepts": True}, {A, B}),
        ({"images": BOTH, "has_nsfw_concepts": None}, set()),
        ({"images": BOTH, "has_nsfw_concepts": ["no", {}]}, set()),
        ({"image": {"url": A}, "nsfw_content_detected": [True], "timings": [0.1]}, {A}),
        ({"images": [A, B], "nsfw_content_detected": [True, False]}, {A}),
        ({"images": [{"url": A, "is_nsfw": True}, {"url": B}]}, {A}),
        ({"output": [{"image": {"url": A}, "has_nsfw_concept": True}, {"image": {"url": B}}]}, {A}),
        ({"images": BOTH, "input": {"image": {"url": A}, "has_nsfw_concepts": True}}, set()),
        ({"has_nsfw_concepts": [True]}, set()),
        (A, set()),
    ],
)
def test_each_file_is_marked_as_the_answer_says(answer: Any, flagged: set[str]) -> None:
    marked = with_safety_flags(media_of(answer), answer)
    assert {media.url for media in marked if media.flagged} == flagged
    assert [media.url for media in marked] == [media.url for media in media_of(answer)]
