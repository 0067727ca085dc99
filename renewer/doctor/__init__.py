"""Looks at the names of certificates before an authority does: DNS, CAA, DNSSEC, ports. Changes nothing.

`examination` looks at all of it at the same time and lets `policy.names` judge; `preflight` does so before
the first order of a certificate.
"""
