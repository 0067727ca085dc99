"""The house measured: what its source says of its size, its walls and its words (`python -m tests.house`)."""
