"""The nouns: frozen values and enums, nothing that acts."""
