"""An OpenID Connect issuer for tests: keys that can be changed, tokens, and what it publishes as HTTP answers."""

from functools import cache

import httpx
import orjson
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

URL = "https://issuer.example.com/tenant"
NOW = 1_900_000_000.0


class Issuer:
    """``asked`` are the paths that were asked for; ``answers`` stand in for what a path would answer otherwise."""

    def __init__(self, url=URL):
        self.url, self.asked, self.answers = url, [], {}
        self.keys = {"k1": rsa_key("first")}

    def publishes(self):
        return [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]

    def answer(self, path):
        """Status, headers and body for a path below the issuer's URL."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": self.publishes()},
        }
        found = documents.get(path)
        return (200, {}, orjson.dumps(found)) if found is not None else (404, {}, b"")

    def transport(self):
        def respond(request):
            status, headers, body = self.answer(str(request.url).removeprefix(self.url))
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

        return httpx.MockTransport(respond)

    def token(self, *, kid="k1", alg="RS256", key=None, header=(), **claims):
        claims = {"iss": self.url, "aud": "me", "sub": "jane", "exp": NOW + 60, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": alg, "kid": kid, **dict(header)}
        header = {name: value for name, value in header.items() if value is not None}
        return jws.serialize_compact(header, orjson.dumps(claims), key or self.keys[kid], algorithms=[alg])


@cache
def rsa_key(name):
    return RSAKey.generate_key(2048)


def ec_key():
    return ECKey.generate_key("P-256")
