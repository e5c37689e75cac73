import asyncio
import contextlib
import dataclasses
import ssl

import pytest
import trustme

from kcpcache.auth.certificates import CertificateError
from kcpcache.auth.trusted_files import TlsFiles, TrustedFiles


class Site:
    """Files of a server, and real TLS connections to it."""

    def __init__(self, folder):
        self.folder = folder
        self.files = TlsFiles(folder / "tls.crt", folder / "tls.key", (folder / "client-ca.crt",))
        self.serving, self.clients = trustme.CA(), trustme.CA()
        self.write()

    def write(self):
        pair = self.serving.issue_cert("127.0.0.1")
        self.files.certificate.write_bytes(b"".join(pem.bytes() for pem in pair.cert_chain_pems))
        self.files.key.write_bytes(pair.private_key_pem.bytes())
        self.files.client_authorities[0].write_bytes(self.clients.cert_pem.bytes())

    async def handshake(self, trusted, client=None):
        """How a client fares whose certificate that authority made, and who trusts today's serving authority."""
        seen = []

        def connected(_reader, writer):
            seen.append("known" if writer.get_extra_info("ssl_object").getpeercert(binary_form=True) else "unknown")
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=trusted.context)
        context = ssl.create_default_context()
        self.serving.configure_trust(context)
        if client is not None:
            client.issue_cert("user@example.com").configure_cert(context)
        async with server:
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=context)
                await reader.read()
                writer.close()
            return seen[0] if seen else "refused"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def test_a_handshake_takes_certificates_of_the_authorities_and_asks_for_none(site):
    trusted = TrustedFiles(site.files)
    assert await site.handshake(trusted) == "unknown"
    assert await site.handshake(trusted, site.clients) == "known"
    assert await site.handshake(trusted, trustme.CA()) == "refused"


async def test_an_authority_for_clients_need_not_be_the_root_of_all(site):
    team = site.clients.create_child_ca()
    site.files.client_authorities[0].write_bytes(team.cert_pem.bytes())
    trusted = TrustedFiles(site.files)
    assert await site.handshake(trusted, team) == "known"
    assert await site.handshake(trusted, site.clients) == "refused"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed_by_a_ticket_which_holds_but_one_certificate(site, version):
    trusted, client = TrustedFiles(site.files), ssl.create_default_context()
    client.maximum_version = version
    site.serving.configure_trust(client)

    def session_after(earlier):
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(back, there, server_hostname="127.0.0.1", session=earlier)
        theirs = trusted.context.wrap_bio(there, back, server_side=True)
        for side in (ours, theirs, ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        theirs.write(b"x")
        assert ours.read(1) == b"x"
        return ours

    first = session_after(None)
    assert not session_after(first.session).session_reused


async def test_a_changed_authority_is_taken_over_without_a_restart(site):
    trusted, told = TrustedFiles(site.files), []
    trusted.listeners.append(told.append)
    before, site.clients = site.clients, trustme.CA()
    site.write()
    await trusted.look()
    assert [found.client_authorities for found in told] == [trusted.current.client_authorities]
    assert await site.handshake(trusted, site.clients) == "known"
    assert await site.handshake(trusted, before) == "refused"


async def test_a_renewed_serving_certificate_is_shown_without_a_restart(site):
    trusted = TrustedFiles(site.files)
    site.serving = trustme.CA()
    assert await site.handshake(trusted) == "refused"
    site.write()
    await trusted.look()
    assert await site.handshake(trusted) == "unknown"


async def test_files_that_have_not_changed_are_not_read_again(site):
    trusted, told = TrustedFiles(site.files), []
    trusted.listeners.append(told.append)
    await trusted.look()
    assert told == []


@pytest.mark.parametrize("damage", ["no certificate", None])
async def test_files_that_cannot_be_used_leave_the_old_ones_in_force(site, damage):
    trusted, told = TrustedFiles(site.files), []
    trusted.listeners.append(told.append)
    path = site.files.client_authorities[0]
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    await trusted.look()
    assert await site.handshake(trusted, site.clients) == "known"
    site.write()
    await trusted.look()
    assert len(told) == 1


def test_an_authority_of_users_vouches_for_front_proxies_of_certain_names_only(site):
    files = dataclasses.replace(site.files, proxy_authorities=site.files.client_authorities)
    with pytest.raises(CertificateError, match="give --requestheader-allowed-names"):
        TrustedFiles(files)
    assert TrustedFiles(dataclasses.replace(files, proxies_have_names=True)).current.proxy_authorities


def test_files_that_cannot_be_used_at_the_start_are_one_clear_error(site):
    site.files.key.write_text("no key")
    with pytest.raises(CertificateError, match=r"cannot use certificate .*tls\.crt with key .*tls\.key"):
        TrustedFiles(site.files)
