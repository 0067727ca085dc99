"""Those who publish TXT records for others to look at, each a worker of its own with its own secrets."""
