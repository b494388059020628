"""Provider emulators: real HTTP servers that answer like a provider, well or badly, by script.

Tests, the demo and the benchmarks put one in the place of a provider and see the other end of the
proxy's sockets. One concern per file: `script` says what an answer holds, when it comes and what
goes wrong; `http` moves bytes over sockets and notices who closes; `playback` turns an answer and
its script into timed sends and an ending; the dialects (`openai_chat`, `openai_responses`,
`anthropic_messages`, `gemini`, `bedrock`, `acp`) say what the answer looks like on the wire. Beside
each dialect (`acp` has it inside) its ``_request`` module refuses what the provider refuses and
puts the rest into the one form of `seen`; `variants` are what `nvidia` and `openrouter` make of
OpenAI's two. `emulator` puts them together, `ledger` keeps what happened.

What a dialect knows it has from recorded exchanges and the providers' pages, not from lipstream's
own codecs: an emulator that shared their code would share their mistakes.

Not here: anything that lipstream needs to serve a real provider.
"""
