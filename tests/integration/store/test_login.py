"""Login by a token of IAM, at a stand-in for RDS Proxy before a real PostgreSQL."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from billing.errors import Transient
from billing.runtime.settings import BadSettings
from billing.store.connection import connect
from tests.support.certificates import Authority
from tests.support.rds_proxy import RdsProxy, run_rds_proxy

USER = "billing"
HOST = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture
def proxy(database_url: str, authority: Authority) -> Iterator[RdsProxy]:
    with run_rds_proxy(database_url, authority.server(HOST)) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lambda's: the system's trusted certificates, here one authority, and a role's credentials."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAFIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")


def test_the_password_is_a_token_for_this_host_and_user(proxy: RdsProxy) -> None:
    with connect(proxy.url(USER)) as connection:
        assert connection.execute("SELECT current_user::text").fetchone() == (USER,)
        assert connection.info.get_parameters()["sslmode"] == "verify-full"

    (token,) = proxy.passwords
    server, _, query = token.partition("/?")
    signed = parse_qs(query)
    assert server == f"{HOST}:{proxy.port}"
    assert (signed["Action"], signed["DBUser"], signed["X-Amz-Expires"]) == (["connect"], [USER], ["900"])
    assert signed["X-Amz-Credential"][0].endswith("/eu-central-1/rds-db/aws4_request")


def test_each_connection_has_a_token_of_the_credentials_of_its_moment(
    proxy: RdsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(proxy.url(USER)).close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIASECOND")
    connect(proxy.url(USER)).close()

    assert ["ASIAFIRST" in token for token in proxy.passwords] == [True, False]
    assert "ASIASECOND" in proxy.passwords[1]


def test_a_refused_token_is_a_fault_of_the_moment_that_says_what_to_look_at(proxy: RdsProxy) -> None:
    proxy.refusing = True
    with pytest.raises(Transient, match="rds-db:connect") as refused:
        connect(proxy.url(USER))

    assert refused.value.code == "database_unavailable"
    told = "".join(traceback.format_exception(refused.value))
    assert "X-Amz-Signature" not in told
    assert proxy.passwords[0] not in told


def test_a_server_of_an_unknown_authority_is_refused_before_it_sees_a_token(database_url: str, tmp_path: Path) -> None:
    stranger = Authority(tmp_path).server(HOST)
    with run_rds_proxy(database_url, stranger) as proxy, pytest.raises(Transient, match="certificate is not trusted"):
        connect(proxy.url(USER))
    assert proxy.passwords == []


def test_a_server_whose_certificate_names_another_host_is_refused_before_it_sees_a_token(proxy: RdsProxy) -> None:
    with pytest.raises(Transient, match="names another host"):
        connect(proxy.url(USER, host="127.0.0.1"))
    assert proxy.passwords == []


def test_a_server_without_tls_is_refused_before_it_sees_a_token(database_url: str) -> None:
    with run_rds_proxy(database_url, tls=None) as plain, pytest.raises(Transient):
        connect(plain.url(USER) + "?sslmode=prefer")  # no address can weaken it
    assert plain.passwords == []


def test_the_address_may_name_other_trusted_certificates(
    database_url: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path).file))
    with (
        run_rds_proxy(database_url, authority.server(HOST)) as proxy,
        connect(f"{proxy.url(USER)}?sslrootcert={authority.file}") as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("absent", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_without_region_or_credentials_no_token_can_be_made(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (absent, "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSettings, match=absent):
        connect("postgresql+iam://billing@localhost:5432/billing")


@pytest.mark.parametrize("url", ["postgresql+iam:///billing", "postgresql+iam://billing@/billing"])
def test_an_address_without_host_or_user_is_refused(url: str) -> None:
    with pytest.raises(BadSettings, match="names both"):
        connect(url)
