"""The names by which providers' answers call what a model made, and what it only repeats."""

# In the order in which their files are reported. The order of keys means nothing: jsonb does not keep it.
OUTPUTS = (
    "video", "videos", "audio", "image", "images", "file", "files",
    "output", "outputs", "result", "results", "payload", "data",
)  # fmt: skip
ADDRESSES = ("url", "video_url", "videoUrl", "file_url", "signed_url", "download_url")
INPUTS = frozenset({"prompt", "negative_prompt", "arguments", "parameters", "params", "request", "loras"})
TEXTS = frozenset(
    {"text", "chunks", "segments", "words", "transcript", "transcription", "diarization_segments", "description"}
)
NOTICES = frozenset({"detail", "error", "errors", "payload_error", "logs", "metrics", "timings", "urls"})
NEVER_ENTERED = INPUTS | TEXTS | NOTICES
ECHO_PREFIXES = ("input", "reference")


def is_echo(name: str) -> bool:
    """Whether what stands under the name is no output: an input, a text, an error."""
    return name in NEVER_ENTERED or name.startswith(ECHO_PREFIXES)
