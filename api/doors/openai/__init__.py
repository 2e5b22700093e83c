"""OpenAI's own clients, unchanged: its videos, and speech, transcriptions and images as calls that wait for a job."""
