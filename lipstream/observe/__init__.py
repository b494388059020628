"""What is told about exchanges beside the way: consumers of their records, nothing more."""
