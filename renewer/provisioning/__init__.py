"""Answering challenges on this host: files in webroots, programs of the operator's, ports that are bound.

"Provision" is the word of RFC 8555 §8 for what a client does to answer. Nothing here speaks to a stranger:
who serves on a port that was bound is given to it.
"""
