"""From a backend's entry in the configuration, with its provider's row, to what it is made with:
keys, protocols, abilities."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate

import attrs

from lipstream.canonical.abilities import Abilities
from lipstream.canonical.capabilities import Lack
from lipstream.canonical.secret import Secret
from lipstream.canonical.transport import declared
from lipstream.config.env import Environment, keys_in
from lipstream.config.schema import CredentialEntry, Flavour, HttpEntry
from lipstream.errors import ConfigError
from lipstream.interfaces import ClientDialect
from lipstream.upstream.client import Client
from lipstream.upstream.credentials import Credential, CredentialPool, Order
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.provider import CHAT, RESPONSES, Provider
from lipstream.upstream.seals import SealMemory

REMOTE = "remote_"

Complain = Callable[[str, str], ConfigError]
"""Makes a complaint about a field of the entry."""

_FLAVOURS = {Flavour.CHAT: CHAT, Flavour.RESPONSES: RESPONSES}


# ---------------------------------------------------------------- keys


def found_keys(provider: Provider, environment: Environment) -> list[Secret]:
    """A provider's keys in the environment, in order."""
    variable = provider.key_variable
    return keys_in(environment, variable, provider.key_numbers) if variable else []


def with_keys(
    entry: HttpEntry, provider: Provider, environment: Environment, complain: Complain
) -> HttpEntry:
    """The entry with the keys that it comes to: in ``credentials`` where it has any that are not
    empty, else in ``api_key`` and ``api_keys``.

    Its own keys count alone; the environment's are taken where it has none, and a row's dummy where
    there is no other. A key that is there twice counts once.

    Raises:
        ConfigError: two credentials have one id.
    """
    credentials = _numbered(credential for credential in entry.credentials if credential.api_key)
    ids = [credential.id for credential in credentials]
    for name in ids:
        if ids.count(name) > 1:
            raise complain("credentials", f"the id {name} is there twice")
    if credentials:
        return attrs.evolve(entry, credentials=credentials, api_key=None, api_keys=())
    given = dict.fromkeys(_plain_keys(entry))
    dummy = [Secret(provider.dummy_key)] if provider.dummy_key else []
    keys = list(given) or found_keys(provider, environment) or dummy
    return attrs.evolve(
        entry, credentials=(), api_key=keys[0] if keys else None, api_keys=tuple(keys[1:])
    )


def _numbered(credentials: Iterable[CredentialEntry]) -> tuple[CredentialEntry, ...]:
    """Each key once, each with an id."""
    by_key: dict[Secret, CredentialEntry] = {}
    for credential in credentials:
        by_key.setdefault(credential.api_key, credential)
    return tuple(
        attrs.evolve(credential, id=credential.id or f"c{place}")
        for place, credential in enumerate(by_key.values())
    )


def _plain_keys(entry: HttpEntry) -> list[Secret]:
    """Those without a name, the empty ones left out."""
    first = [] if entry.api_key is None else [entry.api_key]
    return [key for key in (*first, *entry.api_keys) if key]


def key_count(entry: HttpEntry) -> int:
    """How many keys an entry has, once they are filled in."""
    return len(entry.credentials) or len(_plain_keys(entry))


def pool_of(entry: HttpEntry) -> CredentialPool | None:
    """The pool of an entry whose keys are filled in; None where it has none."""
    plain = (CredentialEntry(api_key=key) for key in _plain_keys(entry))
    credentials = entry.credentials or _numbered(plain)
    if not credentials:
        return None
    order = Order(entry.credential_order.value)
    return CredentialPool([_credential(credential) for credential in credentials], order)


def _credential(entry: CredentialEntry) -> Credential:
    fields = attrs.asdict(entry, recurse=False)
    remote = {name: value for name, value in fields.items() if name.startswith(REMOTE) and value}
    return Credential(
        id=entry.id or "",
        secret=entry.api_key,
        remote={name.removeprefix(REMOTE): value for name, value in remote.items()},
        max_concurrent=entry.max_concurrent,
        max_per_minute=entry.max_per_minute,
    )


# ---------------------------------------------------------------- protocols and abilities


def dialects_of(entry: HttpEntry, provider: Provider, complain: Complain) -> tuple[str, ...]:
    """The names of the protocols that a backend is asked in, in order of preference.

    Raises:
        ConfigError: a flavour is asked for that the provider does not have.
    """
    wanted = _FLAVOURS.get(entry.flavour)
    if wanted is None:
        return provider.dialects
    if wanted not in provider.dialects:
        flavour = entry.flavour.value
        raise complain("flavour", f"kind {provider.kind} does not speak {flavour}")
    return (wanted,)


def abilities_of(entry: HttpEntry, provider: Provider) -> Abilities:
    """What a backend can do: what its provider's row says, changed by the configuration."""
    changes = [
        Lack(_globbed(pattern), frozenset(change.remove), frozenset(change.add))
        for pattern, change in entry.capabilities.items()
    ]
    return Abilities(
        everything=provider.capabilities,
        lacks=(*provider.lacks, *changes),
        transport=provider.transport,
        transports={_globbed(pattern): declared(modes) for pattern, modes in entry.modes.items()},
    )


def _globbed(pattern: str) -> re.Pattern[str]:
    """``*`` stands for anything."""
    return re.compile(r"\A" + translate(pattern))


# ---------------------------------------------------------------- the backend


def http_backend(
    name: str,
    entry: HttpEntry,
    provider: Provider,
    dialects: Mapping[str, ClientDialect],
    client: Client,
    seals: SealMemory,
) -> HttpBackend:
    """The backend of an entry that is filled in; ``dialects`` are all there are, by name."""
    first, *others = _spoken(entry, provider, dialects)
    return HttpBackend(
        id=name,
        base_url=entry.base_url or "",
        dialect=first,
        other_dialects=others,
        client=client,
        pool=pool_of(entry),
        key_header=provider.key_header,
        headers={header: value.reveal() for header, value in entry.all_headers.items()},
        models=entry.models,
        prefills=entry.prefill or False,
        abilities=abilities_of(entry, provider),
        quirks=provider.quirks,
        seals=seals,
    )


def _spoken(
    entry: HttpEntry, provider: Provider, dialects: Mapping[str, ClientDialect]
) -> Sequence[ClientDialect]:
    names = dialects_of(entry, provider, lambda field, why: ConfigError(f"{field}: {why}"))
    return [dialects[name] for name in names]
