"""One order from the intent to the downloaded chain, as RFC 8555 §7.1 tells it.

intent → order → present all → wait all → answer all → poll all → clean all → finalise → download.
Each step leaves a fact behind before the next begins: a run killed anywhere resumes the same order.
"""

from renewer.issue.issuer import Issuer

__all__ = ["Issuer"]
