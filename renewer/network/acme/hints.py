"""What a person can do about what an authority said, by the type of the problem and of the challenge."""

# Nothing changes until the operator does something (RFC 8555 §6.7; invalidProfile: draft-ietf-acme-profiles).
FINAL = {
    "accountDoesNotExist": "the authority does not know our account, and registering it again did not help",
    "agreementRequired": "read the authority's terms of service and set agree_terms = true",
    "badCSR": "choose another key type or other names for this certificate",
    "badPublicKey": "choose another key type (key, or account_key of the authority)",
    "badRevocationReason": "give another reason, or none",
    "badSignatureAlgorithm": "choose another account_key for this authority",
    "externalAccountRequired": "get (new) credentials from the authority and set eab = { kid, hmac }",
    "invalidContact": "correct contact of this authority",
    "invalidProfile": "choose a profile that the authority offers, or remove profile",
    "rejectedIdentifier": "the authority will not issue for this name: remove it, or use another authority",
    "unsupportedContact": "correct contact of this authority: most take only e-mail addresses",
    "unsupportedIdentifier": "the authority does not issue for such names: use another one",
    "userActionRequired": "visit the page named, do what it asks, and run again",
}

# What was seen at validation; the world may change by itself (a record appears, a server comes back).
VALIDATION = {
    "caa": "the CAA records of this name (or of one above it) must allow this authority; see `dig CAA NAME`",
    "connection": "the authority could not reach this host: check that the name's A and AAAA records point "
    "here and that the port (80 for http-01) is open to the whole world, not only to some countries",
    "dns": "the name's DNS must answer from everywhere: check its A, AAAA and CAA records, servers, DNSSEC",
    "dnssec": "the DNSSEC signatures of this name are broken: check them, or the zone's DS record",
    "incorrectResponse": "not our answer was found but another: check that the name leads to this host, and "
    "webroot is the directory which the web server serves for it",
    "tls": "the TLS handshake with this host failed while validating: check what answers at its port",
    "unauthorized": "our answer was not found: check that the name (A and AAAA) leads to this host, that "
    "webroot is the directory which the web server serves for it, and that no redirect leads elsewhere",
}


# The same where the challenge was another one than http-01: by DNS, by the operator's record, by TLS.
_SERVERS = (
    "the authority could not reach the name's DNS servers: they must answer from everywhere, by UDP and TCP"
)
_BY_CHALLENGE = {
    "dns": {
        "incorrectResponse": "not our record was found but another: check that no old TXT record is in its "
        "way, that the provider writes into the zone that the world sees, and where _acme-challenge leads",
        "unauthorized": "our TXT record was not found: check that the provider writes into the zone that the "
        "world sees (`dig +trace TXT _acme-challenge.NAME`), and that all its servers had the record "
        "(propagation)",
        "connection": _SERVERS,
    },
    "dns-persist": {
        "incorrectResponse": "the record at _validation-persist.NAME does not fit: publish what `renewer "
        "challenge show` prints",
        "unauthorized": "no record at _validation-persist.NAME lets this account in: publish what `renewer "
        "challenge show` prints",
        "malformed": "the record at _validation-persist.NAME cannot be read: publish what `renewer "
        "challenge show` prints",
        "connection": _SERVERS,
    },
    "tls-alpn": {
        "incorrectResponse": "another server answered acme-tls/1: check that the name leads to this host, "
        "and that what listens at port 443 passes acme-tls/1 on to the agent",
        "unauthorized": "our certificate was not found: check that the name leads to this host, and that "
        "what listens at port 443 passes acme-tls/1 on to the agent",
        "connection": "the authority could not reach this host: check that the name's A and AAAA records "
        "point here and that port 443 is open to the whole world, not only to some countries",
        "tls": "the TLS handshake at port 443 failed: check that what listens there passes acme-tls/1 on to "
        "the agent",
    },
}
_FAMILIES = {
    "dns-01": "dns",
    "dns-account-01": "dns",
    "dns-persist-01": "dns-persist",
    "tls-alpn-01": "tls-alpn",
}


def hint_for(kind: str, challenge: str = "") -> str:
    """What to do about what was seen at a validation, by the type of the challenge; "" if nobody knows."""
    own = _BY_CHALLENGE.get(_FAMILIES.get(challenge, ""), {})
    return FINAL.get(kind) or own.get(kind) or VALIDATION.get(kind, "")
