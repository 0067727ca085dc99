import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renewer.model.names import CERTIFICATE_NAME, Identifier, IdentifierType

DNS, IP = IdentifierType.DNS, IdentifierType.IP


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("example.org", DNS, "example.org"),
        ("  example.org\n", DNS, "example.org"),
        ("WWW.Example.ORG", DNS, "www.example.org"),
        ("example.org.", DNS, "example.org"),
        ("*.Example.org.", DNS, "*.example.org"),
        ("bücher.example", DNS, "xn--bcher-kva.example"),
        ("*.BÜCHER.example", DNS, "*.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", DNS, "xn--bcher-kva.example"),
        ("例え。テスト", DNS, "xn--r8jz45g.xn--zckzah"),
        ("_dmarc.example.org", DNS, "_dmarc.example.org"),
        ("localhost", DNS, "localhost"),
        ("a" * 63 + ".example", DNS, "a" * 63 + ".example"),
        ("192.0.2.7", IP, "192.0.2.7"),
        ("2001:DB8:0::1", IP, "2001:db8::1"),
        ("[2001:db8::1]", IP, "2001:db8::1"),
    ],
)
def test_parse_normalises(text: str, type_: IdentifierType, value: str) -> None:
    """Names lose case and trailing dot, international ones become A-labels, addresses their short form."""
    assert Identifier(type=type_, value=value) == Identifier.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have 1 to 253"),
        (".", "must have 1 to 253"),
        ("*.", "inner hyphens"),
        ("a..example", "'' must be 1 to 63"),
        ("-a.example", "inner hyphens"),
        ("a-.example", "inner hyphens"),
        ("a b.example", "inner hyphens"),
        ("a" * 64 + ".example", "1 to 63"),
        (".".join(["a" * 60] * 5), "1 to 253"),
        ("*.org", "a wildcard needs two labels"),
        ("a.*.example", "inner hyphens"),
        ("*.*.example.org", "inner hyphens"),
        ("*.192.0.2.7", "neither a host name nor a valid IP"),
        ("192.0.2.256", "neither a host name nor a valid IP"),
        ("192.0.2", "neither a host name nor a valid IP"),
        ("https://example.org/", "inner hyphens"),
        ("example.org:443", "inner hyphens"),
        ("fe80::1%eth0", "zone"),
        ("☃☃.example", "international"),
    ],
)
def test_parse_refuses(text: str, said: str) -> None:
    """What no certificate can vouch for is refused in a sentence that says why."""
    with pytest.raises(ValueError, match="'") as refusal:
        Identifier.parse(text)
    assert said in str(refusal.value)


_near_names = st.text(alphabet="aZ0-_*.: []%ü例。ßİ\u200d\u0301", max_size=30)


@given(st.one_of(st.text(), _near_names, st.ip_addresses().map(str)))
@example("例。")
@example("xn--")
@example("xn--a.例")
@example("ǅ.example")
def test_parse_is_idempotent_and_raises_only_value_errors(text: str) -> None:
    """Whatever the text, it is a name that parses to itself, or a ValueError (laws: total, idempotent)."""
    try:
        name = Identifier.parse(text)
    except ValueError:
        return
    assert name == Identifier.parse(str(name))
    assert name.value.isascii()


@pytest.mark.parametrize(
    ("one", "other", "covered"),
    [
        ("example.org", "example.org", True),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "*.example.org", True),
        ("www.example.org", "*.example.org", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
    ],
)
def test_covers(one: str, other: str, *, covered: bool) -> None:
    """A wildcard stands for exactly one label (RFC 6125 §6.4.3)."""
    assert Identifier.parse(one).covers(Identifier.parse(other)) is covered


@pytest.mark.parametrize(
    ("text", "legal"),
    [("www", True), ("a.b_c-d", True), ("0", True), ("a" * 64, True), ("a" * 65, False)]
    + [(text, False) for text in ("", "Www", ".www", "-www", "..", "a/b", "www\n", "ü")],
)
def test_names_of_certificates(text: str, *, legal: bool) -> None:
    """A certificate's name is safe as a directory's name: nothing hidden, no separators, no case."""
    assert bool(CERTIFICATE_NAME.fullmatch(text)) is legal
