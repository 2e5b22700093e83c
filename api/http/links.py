"""Addresses as clients get them: absolute, and those of their media signed, so that they play without a header."""

import time
from dataclasses import dataclass, field
from typing import Any

from reelay.domain.access_pass import Holder
from reelay.domain.generation import MEDIA_PATH
from reelay.domain.media_link import link_key, sign_media_address


@dataclass(frozen=True)
class Links:
    """For one caller. Rows hold addresses relative to our origin, which may change."""

    origin: str
    _secret: bytes = field(repr=False)
    _holder: Holder = field(repr=False)

    def to(self, address: str) -> str:
        return self.origin + address if address.startswith("/") else address

    def to_media(self, address: str) -> str:
        """Of the caller's; what another service keeps stays as it is."""
        return self.to_signed(address) if address.startswith(MEDIA_PATH) else self.to(address)

    def to_signed(self, address: str) -> str:
        return self.to(sign_media_address(link_key(self._secret), self._holder, address, now=time.time()))

    def clip_media(self, values: dict[str, Any]) -> dict[str, Any]:
        """What a clip got: its `video`, `firstFrame`, `audio` or `final`."""
        return {
            key: self.to_media(value) if key.endswith("url") and isinstance(value, str) else value
            for key, value in values.items()
        }


class StoredLinks(Links):
    """By the key that the API has stored for those who have no pepper; while there is none, the bare addresses."""

    def to_signed(self, address: str) -> str:
        key = self._secret
        return self.to(sign_media_address(key, self._holder, address, now=time.time()) if key else address)
