"""Everything that talks to strangers."""
