"""Trio: runs exchanges. Attempts are started, raced, replaced and cleaned up here, and nowhere
else."""
