"""One film of one or more videos, tracks of sound and captions.

The pictures are copied as they are where nothing about them changes, else encoded. Sound goes through FFmpeg's filters:
gain, fades, ducking, and at last the loudness of EBU R128. The same inputs give the same bytes. It is C that parses
what strangers made, and it blocks: the product calls it in a process of its own alone (`mixer.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from struct import pack
from typing import Any, TypeAlias

import av
import av.error
import av.filter
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter.context import FilterContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelay.media.captions import Cue
from reelay.media.errors import BadMedia
from reelay.media.mix import Ending, Film, Mix, OnProgress, Track
from reelay.media.probe import MAX_PIXELS, MICROSECONDS, TURNS, first_picture, opened, quarter_turns

LONGEST_FILM_SECONDS = 3600
COPIED_CODECS = ("h264", "hevc", "av1")
"""What players take in an MP4."""
VIDEO_CODECS = ("libx264", "mpeg4")
"""The first one that this build of FFmpeg has encodes."""
X264 = {"preset": "veryfast", "crf": "20"}
MOST_FRAMES_PER_SECOND = 60
SAMPLE_RATE = 48_000
SAMPLE_FORMAT, LAYOUT = "fltp", "stereo"
CHUNK = 4800
"""Samples of each track that are mixed at once: a tenth of a second."""
LOUDNESS = "I=-16:TP=-1.5:LRA=11"
"""What the large video sites play at, in LUFS; its true peak stays below full scale."""
DUCKING = "threshold=0.02:ratio=8:attack=20:release=400:makeup=1"
SOUND_BIT_RATE = 192_000
ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\r\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n"
    b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)
"""How captions look; the encoder of an MP4's wants to be told."""

AnyPacket: TypeAlias = "Packet[Any]"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The pictures of one video."""

    container: InputContainer
    stream: VideoStream
    seconds: float
    quarter_turns: int


def mix(plan: Mix, on_progress: OnProgress = lambda fraction: None) -> Film:
    """Write the film. `on_progress` is told how much of it is written, from 0 to 1.

    Raises: BadMedia, MemoryError; OSError, when it cannot be written.
    """
    with ExitStack() as stack:
        shots = [_shot(stack.enter_context(opened(Path(path)))) for path in plan.videos]
        tracks = plan.tracks or _own_sound(plan.videos, shots)
        pictures = sum(shot.seconds for shot in shots)
        ends = [track.start_seconds + _sound_seconds(Path(track.path)) for track in tracks]
        seconds = pictures if plan.ending is Ending.CUT else max([pictures, *ends])
        if seconds > LONGEST_FILM_SECONDS:
            raise BadMedia(f"a film of {seconds:.0f} s is longer than {LONGEST_FILM_SECONDS} s")
        copied = _can_be_copied(shots) and seconds - pictures < 1 / _rate(shots[0])
        container = stack.enter_context(
            av.open(plan.to, "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})
        )
        writers = [_Copied(container, shots[0]) if copied else _Encoded(container, shots, seconds, plan.ending)]
        sounds = _Sound(container, tracks, seconds) if tracks else None
        captions = _Captions(container, plan.cues, seconds) if plan.cues else None
        packets = merge(*(w.packets() for w in (*writers, sounds, captions) if w), key=_moment)
        try:
            for packet in packets:
                moment = _moment(packet)
                container.mux(packet)
                on_progress(min(moment / seconds, 1.0) if seconds else 1.0)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise BadMedia(f"the film cannot be made: {error.strerror}") from error
    on_progress(1.0)
    return Film(duration_seconds=seconds, pictures_copied=copied)


def _moment(packet: AnyPacket) -> float:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return float((ticks or 0) * packet.time_base)


def _shot(container: InputContainer) -> Shot:
    stream = first_picture(container)
    if stream is None or stream.codec_context is None or not 0 < stream.width * stream.height <= MAX_PIXELS:
        raise BadMedia("there are no pictures in it that can be read")
    frame = next(container.decode(stream), None)
    if frame is None:
        raise BadMedia("there are no pictures in it")
    container.seek(0)
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (container.duration or 0) / MICROSECONDS
    return Shot(container=container, stream=stream, seconds=seconds, quarter_turns=quarter_turns(frame))


def _can_be_copied(shots: Sequence[Shot]) -> bool:
    return len(shots) == 1 and shots[0].stream.codec_context.name in COPIED_CODECS and not shots[0].quarter_turns


def _rate(shot: Shot) -> Fraction:
    rate = shot.stream.average_rate or shot.stream.guessed_rate or Fraction(25)
    return min(Fraction(rate).limit_denominator(1001), Fraction(MOST_FRAMES_PER_SECOND))


def _own_sound(videos: Sequence[str], shots: Sequence[Shot]) -> tuple[Track, ...]:
    tracks, start = [], 0.0
    for path, shot in zip(videos, shots, strict=True):
        if shot.container.streams.audio:
            tracks.append(Track(path=path, start_seconds=start))
        start += shot.seconds
    return tuple(tracks)


def _sound_seconds(path: Path) -> float:
    with opened(path) as container:
        stream = _sound_of(container)
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return (container.duration or 0) / MICROSECONDS


def _sound_of(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise BadMedia("there is no sound in it")
    return container.streams.audio[0]


class _Copied:
    """The pictures as they are."""

    def __init__(self, container: OutputContainer, shot: Shot) -> None:
        self._shot = shot
        self._stream = container.add_stream_from_template(shot.stream)

    def packets(self) -> Iterator[AnyPacket]:
        for packet in self._shot.container.demux(self._shot.stream):
            if packet.dts is not None:
                packet.stream = self._stream
                yield packet


class _Encoded:
    """The pictures of all shots, in the size and rate of the first, and no longer than the film."""

    def __init__(self, container: OutputContainer, shots: Sequence[Shot], seconds: float, ending: Ending) -> None:
        self._shots = shots
        self._ending = ending
        self._rate = _rate(shots[0])
        self._count = max(1, round(seconds * self._rate))
        turned = shots[0].quarter_turns % 2
        width, height = shots[0].stream.width, shots[0].stream.height
        self._width, self._height = (each // 2 * 2 or 2 for each in ((height, width) if turned else (width, height)))
        codec = next(name for name in VIDEO_CODECS if name in av.codecs_available)
        stream = container.add_stream(codec, rate=self._rate, options=X264 if codec == "libx264" else {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = self._width, self._height, "yuv420p"
        stream.codec_context.time_base = 1 / self._rate
        # Each thread keeps pictures of its own: with one for each core a film of 4K would take gigabytes.
        stream.codec_context.thread_count = 2
        self._stream = stream

    def packets(self) -> Iterator[AnyPacket]:
        for number, frame in enumerate(islice(self._all_frames(), self._count)):
            frame.pts, frame.time_base = number, 1 / self._rate
            frame.pict_type = 0
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)

    def _all_frames(self) -> Iterator[VideoFrame]:
        last = None
        while True:
            for last in chain.from_iterable(map(self._frames, self._shots)):
                yield last
            if last is None:
                return
            while self._ending is not Ending.LOOP:
                yield last

    def _frames(self, shot: Shot) -> Iterator[VideoFrame]:
        graph: av.filter.Graph | None = None
        shot.container.seek(0)
        for frame in shot.container.decode(shot.stream):
            if graph is None:
                graph = self._graph(frame, shot)
            graph.vpush(frame)
            yield from _pulled_pictures(graph)
        if graph is not None:
            graph.vpush(None)
            yield from _pulled_pictures(graph)

    def _graph(self, frame: VideoFrame, shot: Shot) -> av.filter.Graph:
        size = f"{self._width}:{self._height}"
        graph = av.filter.Graph()
        graph.threads = 1
        nodes = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=shot.stream.time_base
            ),
            *(graph.add(name, arguments) for name, arguments in TURNS.get(shot.quarter_turns, ())),
            graph.add("scale", f"{size}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
            graph.add("pad", f"{size}:(ow-iw)/2:(oh-ih)/2"),
            graph.add("setsar", "1"),
            graph.add("fps", f"fps={self._rate}:start_time=0"),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph


def _pulled_pictures(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.vpull()


class _Sound:
    """All tracks as one, at the loudness of every film."""

    def __init__(self, container: OutputContainer, tracks: Sequence[Track], seconds: float) -> None:
        self._tracks = tracks
        self._seconds = seconds
        self._samples = round(seconds * SAMPLE_RATE)
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout=LAYOUT)
        assert isinstance(stream, AudioStream)
        stream.bit_rate = SOUND_BIT_RATE
        self._stream = stream

    def packets(self) -> Iterator[AnyPacket]:
        position = 0
        for frame in self._mixed():
            frame.pts, frame.time_base = position, Fraction(1, SAMPLE_RATE)
            position += frame.samples
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)

    def _mixed(self) -> Iterator[AudioFrame]:
        graph = av.filter.Graph()
        graph.threads = 1
        sources = [self._source(graph, track) for track in self._tracks]
        sink = self._finished(graph, self._joined(graph, [last for _, last in sources]))
        graph.configure()
        with ExitStack() as stack:
            inputs = [_chunks(stack.enter_context(opened(Path(t.path))), t, self._samples) for t in self._tracks]
            for chunks in zip(*inputs, strict=True):
                for (buffer, _), chunk in zip(sources, chunks, strict=True):
                    buffer.push(chunk)
                yield from _pulled_sound(sink)
        for buffer, _ in sources:
            buffer.push(None)
        yield from _pulled_sound(sink)

    def _source(self, graph: av.filter.Graph, track: Track) -> tuple[FilterContext, FilterContext]:
        """Where the track goes in, and where it comes out with its gain and its fades."""
        buffer = graph.add_abuffer(
            sample_rate=SAMPLE_RATE, format=SAMPLE_FORMAT, layout=LAYOUT, time_base=Fraction(1, SAMPLE_RATE)
        )
        nodes = [buffer, graph.add("volume", f"{track.gain_db}dB")]
        if track.fade_in_seconds:
            nodes.append(graph.add("afade", f"t=in:st={track.start_seconds}:d={track.fade_in_seconds}"))
        if track.fade_out_seconds:
            end = min(track.start_seconds + _sound_seconds(Path(track.path)), self._seconds)
            nodes.append(
                graph.add("afade", f"t=out:st={max(end - track.fade_out_seconds, 0)}:d={track.fade_out_seconds}")
            )
        graph.link_nodes(*nodes)
        return buffer, nodes[-1]

    def _joined(self, graph: av.filter.Graph, tracks: Sequence[FilterContext]) -> FilterContext:
        pairs = list(zip(self._tracks, tracks, strict=True))
        leading = [node for track, node in pairs if not track.duck]
        ducked = [node for track, node in pairs if track.duck]
        if not (leading and ducked):
            return _summed(graph, tracks)
        lead, followers = _summed(graph, leading), _summed(graph, ducked)
        split = graph.add("asplit", "2")
        lead.link_to(split)
        compressed = graph.add("sidechaincompress", DUCKING)
        followers.link_to(compressed, 0, 0)
        split.link_to(compressed, 1, 1)
        both = graph.add("amix", "inputs=2:normalize=0")
        split.link_to(both, 0, 0)
        compressed.link_to(both, 0, 1)
        return both

    def _finished(self, graph: av.filter.Graph, last: FilterContext) -> FilterContext:
        nodes = [
            graph.add("loudnorm", LOUDNESS),
            graph.add("aresample", str(SAMPLE_RATE)),
            graph.add("aformat", f"sample_fmts={SAMPLE_FORMAT}:channel_layouts={LAYOUT}"),
            graph.add("atrim", f"end_sample={self._samples}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(last, *nodes)
        return nodes[-1]


def _summed(graph: av.filter.Graph, nodes: Sequence[FilterContext]) -> FilterContext:
    if len(nodes) == 1:
        return nodes[0]
    both = graph.add("amix", f"inputs={len(nodes)}:normalize=0")
    for index, node in enumerate(nodes):
        node.link_to(both, 0, index)
    return both


def _pulled_sound(sink: FilterContext) -> Iterator[AudioFrame]:
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = sink.pull()
            assert isinstance(frame, AudioFrame)
            yield frame


def _chunks(container: InputContainer, track: Track, samples: int) -> Iterator[AudioFrame]:
    """So many samples in pieces of equal size: silence until the track's start, its sound, and silence again."""
    fifo = av.AudioFifo()
    silence = round(track.start_seconds * SAMPLE_RATE)
    sound = chain(_silences(silence), _resampled(container), _silences(samples + CHUNK))
    position = 0
    while position < samples:
        while fifo.samples < CHUNK:
            frame = next(sound)
            frame.pts = None
            fifo.write(frame)
        chunk = fifo.read(min(CHUNK, samples - position))
        assert chunk is not None
        chunk.pts, chunk.time_base = position, Fraction(1, SAMPLE_RATE)
        position += chunk.samples
        yield chunk


def _silences(samples: int) -> Iterator[AudioFrame]:
    for start in range(0, samples, CHUNK):
        frame = AudioFrame(SAMPLE_FORMAT, LAYOUT, min(CHUNK, samples - start))
        frame.sample_rate = SAMPLE_RATE
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        yield frame


def _resampled(container: InputContainer) -> Iterator[AudioFrame]:
    resampler = av.AudioResampler(SAMPLE_FORMAT, LAYOUT, SAMPLE_RATE)
    for frame in container.decode(_sound_of(container)):
        yield from resampler.resample(frame)
    with suppress(av.error.EOFError):
        yield from resampler.resample(None)


class _Captions:
    """A track of captions, in the form that players know of an MP4 (3GPP Timed Text)."""

    def __init__(self, container: OutputContainer, cues: Iterable[Cue], seconds: float) -> None:
        self._cues = [cue for cue in cues if cue.start < seconds]
        self._seconds = seconds
        self._stream = container.add_stream("mov_text")
        self._stream.codec_context.subtitle_header = ASS_HEADER
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, 1000)

    def packets(self) -> Iterator[AnyPacket]:
        for index, cue in enumerate(self._cues):
            follower = self._cues[index + 1].start if index + 1 < len(self._cues) else self._seconds
            text = cue.text.encode()
            packet = Packet(pack(">H", len(text)) + text)
            packet.stream, packet.time_base = self._stream, Fraction(1, 1000)
            packet.pts = packet.dts = round(cue.start * 1000)
            packet.duration = max(1, round(min(cue.end, follower, self._seconds) * 1000) - packet.pts)
            yield packet
