"""What can be configured of an agent; see ``schema``."""

from __future__ import annotations

import enum

import attrs

from lipstream.config.schema import HttpEntry
from lipstream.config.values import SecretMap


class RouteOption(enum.Enum):
    """What of an agent's session a route may set by a parameter of the same name."""

    SESSION = "acp.sessionId"
    CWD = "acp.cwd"
    MCP_SERVERS = "acp.mcpServers"
    MESSAGE = "acp.messageId"
    CLIENT_CAPABILITIES = "acp.initialize.clientCapabilities"
    CLIENT = "acp.initialize.clientInfo"
    SKIP = "acp.authenticate.skip"
    METHOD = "acp.authenticate.methodId"
    PARAMS = "acp.authenticate.params"


@attrs.frozen(kw_only=True)
class AuthenticateSection:
    """How lipstream makes itself known to an agent.

    Attributes:
        skip: Leave the step out.
        method_id: One of the ways that the agent offers.
        params: All that the step says, in the place of ``method_id``.
    """

    skip: bool = False
    method_id: str = ""
    params: SecretMap | None = None


@attrs.frozen(kw_only=True)
class ShowSection:
    """What of an agent's doing is told as reasoning: its thoughts, its plans, changes of its
    mode."""

    thoughts: bool = True
    plan: bool = True
    mode: bool = True


@attrs.frozen(kw_only=True)
class AcpEntry(HttpEntry):
    """An agent that is asked in the agent client protocol, over HTTP.

    Attributes:
        base_url: There is none by default. The agent's path, ``/v1/acp``, goes below it.
        api_key: At most one, sent as a bearer token.
        session_id: A session that exists; by default each request gets one of its own.
        cwd: Where the agent works, on its own machine.
        mcp_servers: What it is to connect to or to run, as the protocol's ``session/new`` takes
            them; as secret as a key.
        client_capabilities: What the agent is told that its client can do.
        client_info: Who the agent is told that its client is; by default lipstream.
        route_options: What routes may say instead, by parameters (``agent:agent?acp.cwd=/srv``).
            Whoever may ask for any route can then do so, too, and have the agent work where, and
            with what, they like.
    """

    session_id: str = ""
    cwd: str = "/"
    mcp_servers: tuple[SecretMap, ...] = ()
    client_capabilities: SecretMap | None = None
    client_info: SecretMap | None = None
    authenticate: AuthenticateSection = AuthenticateSection()
    show: ShowSection = ShowSection()
    route_options: tuple[RouteOption, ...] = ()
