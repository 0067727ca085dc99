"""The authority's door: our types in, our types out."""
