"""Subtitles from a transcription's chunks."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.media.captions import Cue, cues_of, spoken_cues, srt, vtt


def chunk(start: Any, end: Any, text: Any, **more: Any) -> dict[str, Any]:
    return {"timestamp": [start, end], "text": text, **more}


def test_chunks_become_cues_in_their_order() -> None:
    data = {"text": "One. Two.", "chunks": [chunk(0, 1.5, " One."), chunk(1.5, 3.25, "Two.\n")]}

    assert cues_of(data) == [Cue(0, 1.5, "One."), Cue(1.5, 3.25, "Two.")]


def test_open_end_lasts_until_the_next_chunk_or_for_a_moment() -> None:
    data = {"chunks": [chunk(0, None, "One."), chunk(4, None, "Two.")]}

    assert cues_of(data) == [Cue(0, 4, "One."), Cue(4, 6, "Two.")]


def test_speakers_are_named() -> None:
    assert cues_of({"chunks": [chunk(0, 1, "Hi.", speaker="SPEAKER_01")]}) == [Cue(0, 1, "SPEAKER_01: Hi.")]


@pytest.mark.parametrize(
    "odd",
    [
        chunk(None, 1, "x"),
        chunk(-1, 1, "x"),
        chunk("0", 1, "x"),
        chunk(True, 1, "x"),
        chunk(float("nan"), 1, "x"),
        chunk(0, 1, "  "),
        chunk(0, 1, None),
        {"text": "x"},
        {"timestamp": [0], "text": "x"},
        {"timestamp": 0, "text": "x"},
        "x",
        None,
    ],
)
def test_odd_chunks_are_left_out(odd: Any) -> None:
    assert cues_of({"chunks": [odd, chunk(1, 2, "y")]}) == [Cue(1, 2, "y")]


@pytest.mark.parametrize("data", [{}, {"chunks": None}, {"chunks": {}}, {"chunks": []}, {"text": "words alone"}])
def test_without_times_there_are_no_cues(data: dict[str, Any]) -> None:
    assert cues_of(data) == []


def test_end_before_its_start_is_no_end() -> None:
    assert cues_of({"chunks": [chunk(5, 3, "x")]}) == [Cue(5, 7, "x")]


def test_subrip() -> None:
    assert srt([Cue(0, 1.5, "One."), Cue(3661.0015, 3662, "a < b")]) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n01:01:01,002 --> 01:01:02,000\na < b\n"
    )


def test_webvtt_escapes_what_would_be_a_timing_or_a_tag() -> None:
    assert vtt([Cue(0, 1.5, "a --> b & <i>c</i>")]) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na --&gt; b &amp; &lt;i&gt;c&lt;/i&gt;\n"
    )


@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.text(max_size=30)), max_size=8))
def test_each_cue_is_one_block_whatever_was_said(spoken: list[tuple[float, float | None, str]]) -> None:
    cues = cues_of({"chunks": [chunk(*words) for words in spoken]})
    blocks = srt(cues).split("\n\n") if cues else []

    assert [block.splitlines()[0] for block in blocks] == [str(number) for number in range(1, len(cues) + 1)]
    assert vtt(cues).count("-->") == len(cues)
    assert all(cue.start <= cue.end for cue in cues)


def test_a_cue_that_would_last_no_time_ends_like_one_without_an_end() -> None:
    chunks = [{"timestamp": [0.5, 0.5], "text": "Hm."}, {"timestamp": [1.0, 1.0], "text": "Yes."}]
    assert cues_of({"chunks": chunks}) == [Cue(0.5, 1.0, "Hm."), Cue(1.0, 3.0, "Yes.")]


def test_single_words_become_lines_of_one_speaker() -> None:
    said = [("Good", 0.0, 0.4, "a"), ("morning.", 0.5, 0.9, "a"), ("Hello.", 1.0, 1.4, "b"), ("Again.", 4.0, 4.5, "b")]
    words = [{"text": text, "start": start, "end": end, "speaker_id": who} for text, start, end, who in said]
    words.insert(1, {"text": " ", "start": 0.4, "end": 0.5})
    assert cues_of({"words": words}) == [
        Cue(0.0, 0.9, "Good morning."),
        Cue(1.0, 1.4, "Hello."),
        Cue(4.0, 4.5, "Again."),
    ]
    assert cues_of({"words": ["?", {"text": "x"}]}) == []


def test_a_spoken_text_is_captioned_sentence_by_sentence_for_as_long_as_it_lasts() -> None:
    cues = spoken_cues("The harbour wakes. " + "Boats leave for the day. " * 2 + "word " * 30, 12.0)

    assert [cue.text for cue in cues[:3]] == [
        "The harbour wakes.",
        "Boats leave for the day.",
        "Boats leave for the day.",
    ]
    assert max(len(cue.text) for cue in cues) <= 60
    assert (cues[0].start, cues[-1].end) == (0, 12.0)
    assert all(earlier.end == later.start for earlier, later in pairwise(cues))


def test_nothing_spoken_has_no_captions() -> None:
    assert spoken_cues(" ", 3.0) == []
