"""CAA records against authorities, accounts and challenges (RFC 8659, RFC 8657)."""

from typing import Any

import pytest

from renewer.model.inspection import Caa, CaaRecord, Candidate, NameAsked, Severity
from renewer.policy.name_checks.records import judge_caa

ACCOUNT = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
OURS = Candidate(name="letsencrypt", identities=("letsencrypt.org",), account=ACCOUNT)
OTHER = Candidate(
    name="google", identities=("pki.goog",), account="https://dv.acme-v02.api.pki.goog/account/1"
)


def found(*records: str, **asked: Any) -> dict[str, str]:
    """The codes and severities for records as 'FLAGS TAG VALUE'."""
    read = [record.split(" ", 2) for record in records]
    seen = Caa(
        owner="example.org",
        records=tuple(
            CaaRecord(flags=int(flags), tag=tag, value=value.strip('"')) for flags, tag, value in read
        ),
    )
    usual: dict[str, Any] = {
        "certificate": "www",
        "name": "example.org",
        "wildcard": False,
        "challenge": "http-01",
        "authorities": (OURS,),
    }
    return {one.code: one.severity.value for one in judge_caa(seen, NameAsked(**(usual | asked)))}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="no record at all lets everybody in"),
        pytest.param(['0 issue "letsencrypt.org"'], id="its name"),
        pytest.param(['0 issue " LetsEncrypt.ORG. "'], id="its name in another spelling"),
        pytest.param(['0 issue ";"', '0 issue "letsencrypt.org"'], id="one of several records is enough"),
        pytest.param(['0 iodef "mailto:x@example.org"'], id="records without issue restrict nothing (§4.2)"),
        pytest.param(['0 issuewild ";"'], id="issuewild says nothing about a plain name (§4.3)"),
        pytest.param(['0 issue "letsencrypt.org; unknown=1"'], id="parameters of the authority's own"),
        pytest.param([f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"'], id="our account (RFC 8657 §3)"),
        pytest.param(['0 issue "letsencrypt.org;validationmethods=dns-01,http-01"'], id="our challenge"),
        pytest.param(['128 issue "letsencrypt.org"'], id="a critical record that everybody knows"),
    ],
)
def test_who_may_issue(records: list[str]) -> None:
    """Records that let the authority in are no finding."""
    assert found(*records) == {}


@pytest.mark.parametrize(
    ("records", "code"),
    [
        pytest.param(['0 issue "pki.goog"'], "caa-forbids", id="another authority"),
        pytest.param(['0 issue ";"'], "caa-forbids", id="nobody (§4.2)"),
        pytest.param(['0 issue ""'], "caa-forbids", id="an empty value lets nobody in"),
        pytest.param(['0 issue "letsencrypt.org.example"'], "caa-forbids", id="a name that begins like it"),
        pytest.param(['0 issue "letsencrypt.org %%%"'], "caa-forbids", id="what cannot be read (§4.2)"),
        pytest.param(['0 issue "letsencrypt.org; x"'], "caa-forbids", id="a parameter that is none"),
        pytest.param(
            ['0 issue "letsencrypt.org; accounturi=https://x/2"'], "caa-other-account", id="another account"
        ),
        pytest.param(
            [f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; accounturi={ACCOUNT}"'],
            "caa-other-account",
            id="two accounts in one record cannot be satisfied (RFC 8657 §3)",
        ),
        pytest.param(
            [f'0 issue "letsencrypt.org; accounturi={ACCOUNT.upper()}"'],
            "caa-other-account",
            id="an account is compared octet by octet",
        ),
        pytest.param(
            ['0 issue "letsencrypt.org; validationmethods=dns-01"'], "caa-other-method", id="other challenges"
        ),
        pytest.param(['128 tbs "x"'], "caa-unknown-critical", id="an unknown critical tag (§4.1)"),
    ],
)
def test_what_stops_an_authority(records: list[str], code: str) -> None:
    """The only authority may not issue: an error."""
    assert found(*records) == {code: "error"}


def test_an_account_that_is_not_there_yet() -> None:
    """Accounturi with the first registration still to come: said, since the order makes a new account."""
    known = found(
        f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"',
        authorities=(Candidate(name="le", identities=("letsencrypt.org",)),),
    )

    assert known == {"caa-account-unknown": "warning"}


@pytest.mark.parametrize(
    ("records", "codes"),
    [
        (['0 issue "letsencrypt.org"', '0 issuewild "pki.goog"'], {"caa-forbids": "error"}),
        (['0 issue "pki.goog"', '0 issuewild "letsencrypt.org"'], {}),
        (['0 issue "letsencrypt.org"'], {}),
        (['0 issue "letsencrypt.org"', '0 issuewild ";"'], {"caa-forbids": "error"}),
    ],
)
def test_wildcards(records: list[str], codes: dict[str, str]) -> None:
    """For a wildcard issuewild takes the place of issue, if there is any (RFC 8659 §4.3)."""
    assert found(*records, wildcard=True, challenge="dns-01") == codes


def test_with_another_authority_left_it_is_a_warning() -> None:
    """The first is shut out and the second is let in: renewal goes on, so it is no error."""
    assert found('0 issue "pki.goog"', authorities=(OURS, OTHER)) == {"caa-forbids": "warning"}
    assert found('0 issue ";"', authorities=(OURS, OTHER)) == {"caa-forbids": "error"}


def test_an_authority_that_nobody_knows_by_name() -> None:
    """A private one whose directory says no identities: told, for it may be shut out."""
    assert found('0 issue "x.example"', authorities=(Candidate(name="own"),)) == {
        "caa-authority-unknown": "info"
    }


def test_what_to_add_is_said() -> None:
    """The hint is the very record."""
    seen = Caa(owner="example.org", records=(CaaRecord(flags=0, tag="issue", value="pki.goog"),))
    asked = NameAsked(
        certificate="w", name="www.example.org", wildcard=False, challenge="x", authorities=(OURS,)
    )

    (finding,) = judge_caa(seen, asked)
    assert finding.hint == 'add: example.org. CAA 0 issue "letsencrypt.org"'


def test_caa_that_cannot_be_looked_up() -> None:
    """Authorities must refuse then (RFC 8659 §3)."""
    asked = NameAsked(
        certificate="w", name="www.example.org", wildcard=False, challenge="x", authorities=(OURS,)
    )

    (finding,) = judge_caa(Caa(owner="example.org", trouble="the resolver says SERVFAIL"), asked)
    assert (finding.code, finding.severity) == ("caa-failed", Severity.ERROR)
