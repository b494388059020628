"""The agent client protocol over HTTP (https://agentclientprotocol.com), the client's role.

An agent takes a prompt and works on it with tools of its own. A prompt is not one request, as a
call is in the other protocols, but several, and the agent may have requests of its own in between:
who sends what and when is ``upstream.acp``'s, here are the messages.
"""

from lipstream.protocols.acp.errors import decode_error, decode_fault
from lipstream.protocols.acp.messages import (
    Message,
    NotAMessage,
    decode_message,
    encode_notification,
    encode_request,
    encode_response,
)
from lipstream.protocols.acp.prompt import SUPPORT, encode_prompt
from lipstream.protocols.acp.session import (
    ROUTE_OPTIONS,
    SessionOptions,
    decode_reply,
    decode_session_id,
)
from lipstream.protocols.acp.stream_decode import AgentRequest, PromptDecoder, Show
from lipstream.protocols.acp.wire import (
    AUTHENTICATE,
    CANCELS,
    INITIALIZE,
    MODEL,
    NAME,
    NEW_SESSION,
    PATH,
    PROMPT,
    REPLY_BYTES,
)

__all__ = [
    "AUTHENTICATE",
    "CANCELS",
    "INITIALIZE",
    "MODEL",
    "NAME",
    "NEW_SESSION",
    "PATH",
    "PROMPT",
    "REPLY_BYTES",
    "ROUTE_OPTIONS",
    "SUPPORT",
    "AgentRequest",
    "Message",
    "NotAMessage",
    "PromptDecoder",
    "SessionOptions",
    "Show",
    "decode_error",
    "decode_fault",
    "decode_message",
    "decode_reply",
    "decode_session_id",
    "encode_notification",
    "encode_prompt",
    "encode_request",
    "encode_response",
]
