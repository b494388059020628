"""What may happen when: state machines as tables, pure. The prose is in docs/state-machines.md,
drawn from the same tables."""
