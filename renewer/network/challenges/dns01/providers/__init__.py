"""Those who publish TXT records: the contract, how one is found by its name, and ours."""
