"""Which keys of an identity provider are taken."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from api.identity.tokens import parse_token_keys


def document(bits: int) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return json.dumps({"keys": [RSAAlgorithm.to_jwk(key, as_dict=True) | {"kid": "k", "alg": "RS256"}]}).encode()


@pytest.mark.parametrize(("bits", "taken"), [(1024, 0), (2047, 0), (2048, 1)])
def test_an_rsa_key_that_is_too_short_is_passed_over(bits: int, taken: int) -> None:
    assert len(parse_token_keys(document(bits))) == taken
