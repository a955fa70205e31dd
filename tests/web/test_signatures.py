"""Ed25519 over timestamp and raw body, and nothing of the body believed before."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mahler_pipelines.errors import SettingsError
from mahler_pipelines.web.signatures import (
    SIGNATURE,
    STALE_SECONDS,
    TIMESTAMP,
    Forged,
    Verifier,
)

NOW = 1_790_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = Verifier(KEY.public_key())
BODY = b'{"type":1}'


def headers(body: bytes = BODY, timestamp: str = "1790000000") -> dict[str, str]:
    signature = KEY.sign(timestamp.encode() + body).hex()
    return {SIGNATURE: signature, TIMESTAMP: timestamp}


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        pytest.param(
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            id="RFC 8032, 7.1, test 1",
        ),
        pytest.param(
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            id="RFC 8032, 7.1, test 2",
        ),
        pytest.param(
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            id="RFC 8032, 7.1, test 3",
        ),
    ],
)
def test_the_standard_s_own_examples_verify(public: str, message: str, signature: str) -> None:
    verifier = Verifier.of(public)
    verifier.key.verify(bytes.fromhex(signature), bytes.fromhex(message))
    assert (
        verifier.forged({SIGNATURE: signature, TIMESTAMP: "7"}, bytes.fromhex(message), now=7.0)
        is Forged.WRONG_SIGNATURE
    ), "the timestamp is part of what is signed"


def test_a_true_request_is_taken() -> None:
    assert VERIFIER.forged(headers(), BODY, now=NOW) is None


@given(st.data())
def test_one_changed_bit_is_noticed(data: st.DataObject) -> None:
    body = data.draw(st.binary(min_size=1, max_size=200))
    true = headers(body)
    place = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[place // 8] ^= 1 << place % 8
    assert VERIFIER.forged(true, body, now=NOW) is None
    assert VERIFIER.forged(true, bytes(changed), now=NOW) is Forged.WRONG_SIGNATURE


def test_another_timestamp_is_noticed() -> None:
    moved = headers() | {TIMESTAMP: "1790000001"}
    assert VERIFIER.forged(moved, BODY, now=NOW) is Forged.WRONG_SIGNATURE


def test_another_key_is_noticed() -> None:
    other = Verifier(Ed25519PrivateKey.generate().public_key())
    assert other.forged(headers(), BODY, now=NOW) is Forged.WRONG_SIGNATURE


@pytest.mark.parametrize("missing", [SIGNATURE, TIMESTAMP])
def test_a_missing_header_is_noticed(missing: str) -> None:
    given = {name: value for name, value in headers().items() if name != missing}
    assert VERIFIER.forged(given, BODY, now=NOW) is Forged.NO_SIGNATURE


@pytest.mark.parametrize(
    "wrong",
    [
        {SIGNATURE: "ab" * 63},
        {SIGNATURE: "zz" * 64},
        {SIGNATURE: "ab" * 64 + "\n"},
        {TIMESTAMP: "-1790000000"},
        {TIMESTAMP: "1790000000.0"},
        {TIMESTAMP: "\u0667" * 10},
        {TIMESTAMP: "9" * 13},
        {TIMESTAMP: "now"},
    ],
    ids=str,
)
def test_what_has_not_the_form_is_malformed(wrong: dict[str, str]) -> None:
    assert VERIFIER.forged(headers() | wrong, BODY, now=NOW) is Forged.MALFORMED


@pytest.mark.parametrize(
    ("away", "found"),
    [
        (STALE_SECONDS, None),
        (-STALE_SECONDS, None),
        (STALE_SECONDS + 1, Forged.STALE),
        (-STALE_SECONDS - 1, Forged.STALE),
    ],
)
def test_an_old_signature_is_stale_and_so_is_one_of_the_future(
    away: float, found: Forged | None
) -> None:
    assert VERIFIER.forged(headers(), BODY, now=NOW + away) is found


@pytest.mark.parametrize("key", ["", "ab" * 31, "zz" * 32, "not hex"])
def test_what_is_no_key_says_so(key: str) -> None:
    with pytest.raises(SettingsError, match=r"discord\.public_key"):
        Verifier.of(key)
