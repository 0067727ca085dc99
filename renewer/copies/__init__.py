"""Files in other places that follow the live version; each is replaced by one rename.

A file that we did not write is kept once, in the state directory. What was replaced can be put back.
`writing` is the story; `formats` says what a file holds, `keystores` makes and opens those that are sealed,
`rights` whose a file is, `files` reads and replaces one; `leftovers` are files that the
config no longer names.
"""

from renewer.copies.writing import Written, fingerprint, later, put, undo

__all__ = ["Written", "fingerprint", "later", "put", "undo"]
