"""Amazon Bedrock: where it is reached, and as whom.

One credential is used, the first that there is: keys in the configuration; an API key (a bearer
token) there or in ``AWS_BEARER_TOKEN_BEDROCK``; what AWS's own tools would find. All but the bearer
token sign requests, which takes botocore.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from lipstream.canonical.secret import Secret
from lipstream.config.schema import BedrockEntry
from lipstream.interfaces import ClientDialect
from lipstream.upstream.aws import (
    ChainCredentials,
    Credentials,
    Signer,
    SigningClient,
    StaticCredentials,
)
from lipstream.upstream.client import Client
from lipstream.upstream.entries import Complain, http_backend, key_count
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.provider import Provider
from lipstream.upstream.seals import SealMemory

SERVICE = "bedrock"  # as signatures name it
REGION = "us-east-1"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
ACCEPTED = "application/vnd.amazon.eventstream, application/json"

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def filled_bedrock(
    entry: BedrockEntry, environment: Mapping[str, str], complain: Complain
) -> BedrockEntry:
    """The entry with its region and base URL.

    Raises:
        ConfigError: the settings do not fit together.
    """
    if bool(entry.access_key_id) != bool(entry.secret_access_key):
        absent = "secret_access_key" if entry.access_key_id else "access_key_id"
        raise complain(absent, "is missing: both keys are needed, or none")
    if entry.access_key_id and key_count(entry):
        raise complain("access_key_id", "an API key is there as well: leave one of them out")
    found = (environment.get(name, "").strip() for name in REGION_VARIABLES)
    region = entry.region or next(filter(None, found), REGION)
    if not _REGION.fullmatch(region):
        raise complain("region", "expected an AWS region like us-east-1")
    return attrs.evolve(entry, region=region, base_url=_endpoint(entry, region, complain))


def _endpoint(entry: BedrockEntry, region: str, complain: Complain) -> str:
    if entry.base_endpoint and entry.base_url:
        raise complain("base_endpoint", "says the same as base_url: one of them is enough")
    url = entry.base_endpoint or entry.base_url
    if url is None:
        if entry.disable_https:
            raise complain("disable_https", "needs a base_endpoint")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"https://bedrock-runtime.{region}.{domain}"
    if entry.disable_https:
        url = "http://" + url.partition("://")[2]
    is_safe = url.startswith("https://") or _is_loopback(urlsplit(url).hostname or "")
    if not is_safe and not entry.allow_insecure_non_loopback:
        message = (
            "without https only a loopback address is allowed, unless allow_insecure_non_loopback "
            "is true"
        )
        raise complain("disable_https" if entry.disable_https else "base_endpoint", message)
    return url


def _is_loopback(host: str) -> bool:
    host = host.removesuffix(".")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bedrock_backend(
    name: str,
    entry: BedrockEntry,
    provider: Provider,
    dialects: Mapping[str, ClientDialect],
    client: Client,
    seals: SealMemory,
) -> HttpBackend:
    """The backend of an entry that is filled in; ``dialects`` are all there are, by name.

    Raises:
        ConfigError: requests have to be signed and botocore is not installed.
    """
    if entry.access_key_id or not key_count(entry):
        client = SigningClient(client, Signer(SERVICE, entry.region or REGION, _credentials(entry)))
        entry = attrs.evolve(entry, api_key=None, api_keys=(), credentials=())
    entry = attrs.evolve(entry, headers={"accept": Secret(ACCEPTED), **entry.headers})
    return http_backend(name, entry, provider, dialects, client, seals)


def _credentials(entry: BedrockEntry) -> Credentials:
    if entry.access_key_id and entry.secret_access_key:
        token = entry.session_token or None
        return StaticCredentials(entry.access_key_id, entry.secret_access_key, token)
    return ChainCredentials()
