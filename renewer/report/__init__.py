"""What a run leaves for programs and people outside its own log: documents, page, metrics, heartbeat."""
