#!/usr/bin/env python3
"""Judges decision tokens with a stock library of another ecosystem: PyJWT, with `cryptography` beneath it.

usage: jwt_judge.py JWKS TOKEN_FILE --audience AUD --issuer ISS

Needs `pip install PyJWT==2.15.1 cryptography==50.0.2`. JWKS is the URL of a served key set or a file. The token must verify; with one character changed, for another audience
or issuer, under another key, or unsigned, it must not. Exit 0 if so, 1 with a line on stderr at the first surprise,
2 for usage or an unreadable file.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
REQUIRED = ["iss", "sub", "aud", "iat", "exp", "jti", "cnf"]
OWN_CLAIMS = ["contract", "jurisdiction", "as_of", "verdict", "ledger", "status"]


class Surprise(Exception):
    """Something a stock library should have done otherwise."""


def expect(holds, what):
    if not holds:
        raise Surprise(what)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def load_key(source, token):
    """The key that PyJWT picks for the token, and its kid."""
    kid = jwt.get_unverified_header(token)["kid"]
    if source.startswith(("http://", "https://")):
        key = jwt.PyJWKClient(source, timeout=10).get_signing_key_from_jwt(token)
    else:
        key = jwt.PyJWKSet.from_json(Path(source).read_text("utf-8"))[kid]
    expect(key.key_type == "OKP", f"key type {key.key_type}: expected OKP")
    public = {"crv": "Ed25519", "kty": "OKP", "x": b64(key.key.public_bytes_raw())}
    canonical = json.dumps(public, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = b64(hashlib.sha256(canonical).digest())
    expect(kid == thumbprint, f"kid {kid}: not the RFC 7638 thumbprint {thumbprint}")
    return key.key


def judge(source, token, audience, issuer, leeway):
    header = jwt.get_unverified_header(token)
    expect(header.get("alg") == "EdDSA", f"alg {header.get('alg')}: expected EdDSA")
    expect(header.get("typ") == "shp-decision+jwt", f"typ {header.get('typ')}")
    key = load_key(source, token)

    def decode(token, key=key, audience=audience, issuer=issuer):
        options = {"require": REQUIRED}
        return jwt.decode(
            token, key, ["EdDSA"], options, audience=audience, issuer=issuer, leeway=leeway
        )

    def refuses(what, *args, **kwargs):
        try:
            decode(*args, **kwargs)
        except jwt.InvalidTokenError:
            return
        raise Surprise(f"accepted {what}")

    claims = decode(token)
    for name in OWN_CLAIMS:
        expect(name in claims, f"claim {name} is missing")
    expect(claims["verdict"] in ("YES", "NO"), f"verdict {claims['verdict']}")
    holder = jwt.algorithms.ECAlgorithm.from_jwk(claims["cnf"]["jwk"])
    expect(isinstance(holder.curve, SECP256K1), f"cnf curve {holder.curve.name}: expected secp256k1")

    changed = 0
    for at, letter in enumerate(token):
        if letter == ".":
            continue
        # The top bit of the six, so that the last letter's unused bits are not what changes.
        other = ALPHABET[ALPHABET.index(letter) ^ 32]
        refuses(f"a token with character {at} changed", token[:at] + other + token[at + 1 :])
        changed += 1
    refuses("another audience", token, audience=audience + ".evil.example")
    refuses("another issuer", token, issuer=issuer + ".evil.example")
    refuses("another key", token, key=Ed25519PrivateKey.generate().public_key())
    payload = token.split(".")[1]
    unsigned = b64(b'{"alg":"none","typ":"shp-decision+jwt"}')
    refuses("an unsigned token", f"{unsigned}.{payload}.")
    return claims, changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jwks", help="URL or file of the key set")
    parser.add_argument("token", type=Path, help="file with one compact JWS")
    parser.add_argument("--audience", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--leeway", type=int, default=60, help="seconds by which clocks may differ")
    args = parser.parse_args()
    try:
        token = args.token.read_text("ascii").strip()
        claims, changed = judge(args.jwks, token, args.audience, args.issuer, args.leeway)
    except (OSError, UnicodeDecodeError) as error:
        print(f"jwt_judge: {error}", file=sys.stderr)
        return 2
    except (Surprise, jwt.PyJWTError, LookupError, ValueError) as error:
        print(f"jwt_judge: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(
        f"PyJWT {jwt.__version__} accepts the {claims['verdict']} token on {claims['contract']['id']}"
        f" and refuses {changed} changed characters, another audience, issuer and key, and no signature"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
