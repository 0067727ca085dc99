"""Our accounts at authorities: keys, what they sign, and how an authority is spoken to through its worker."""
