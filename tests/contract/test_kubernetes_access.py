"""How a pod reaches the API server: its own account, and a TLS that authorities can live up to."""

import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from resonate_fleet.chaos.cluster import cluster
from resonate_fleet.contract.kubernetes import (
    Access,
    Cluster,
    ClusterRefused,
    own_access,
    own_namespace,
    trusting,
)
from tests.support.api_server import NAMESPACE, ApiServer, serving

#: An authority as EKS and older MicroK8s make it: neither key usage nor key identifiers.
BARE = "[v3]\nbasicConstraints=critical,CA:TRUE\n"


class Authority:
    """Signs the certificate of one server at 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        config = folder / "ca.conf"
        config.write_text(f"[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n{BARE}")
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-config", config, "-subj", f"/CN={name}", "-days", "2"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def serve(self, name: str) -> ssl.SSLContext:
        """Return what a server at `name` (`IP:127.0.0.1`, say) needs."""
        key, request, certificate = (self.folder / f"server.{end}" for end in ("key", "csr", "crt"))
        extensions = self.folder / "server.conf"
        extensions.write_text(f"subjectAltName={name}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=server", "-keyout", key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate),
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context


def _openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@asynccontextmanager
async def served(tls: ssl.SSLContext, api: ApiServer | None = None) -> AsyncIterator[str]:
    runner = web.AppRunner((api or ApiServer()).app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def listed(access: Access) -> int:
    async with Cluster(NAMESPACE, access, tries=1) as one:
        return len((await one.get(one.pods()))["items"])


async def test_an_authority_without_key_usage_is_trusted(authority: Authority) -> None:
    async with served(authority.serve("IP:127.0.0.1")) as url:
        assert await listed(Access(url, trust=trusting(authority.certificate))) == 0


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older Pythons are not strict by default")
async def test_the_default_of_python_refuses_that_authority(authority: Authority) -> None:
    strict = ssl.create_default_context(cafile=str(authority.certificate))
    async with served(authority.serve("IP:127.0.0.1")) as url:
        with pytest.raises(ClusterRefused, match="certificate verify failed"):
            await listed(Access(url, trust=strict))


async def test_another_authority_is_refused(authority: Authority) -> None:
    other = Authority(authority.folder, "other")
    async with served(authority.serve("IP:127.0.0.1")) as url:
        with pytest.raises(ClusterRefused, match="certificate verify failed"):
            await listed(Access(url, trust=trusting(other.certificate)))


async def test_another_host_is_refused(authority: Authority) -> None:
    async with served(authority.serve("IP:127.0.0.2")) as url:
        with pytest.raises(ClusterRefused, match="IP address mismatch"):
            await listed(Access(url, trust=trusting(authority.certificate)))


class Unreached(ApiServer):
    """A `kubectl proxy` whose cluster does not answer: text, no object of Kubernetes."""

    def app(self) -> web.Application:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=500, text="dial tcp 10.0.0.1:6443: connection refused\n")

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        return app


async def test_a_proxy_that_does_not_reach_the_cluster_says_why() -> None:
    async with serving(Unreached()) as url:
        with pytest.raises(ClusterRefused, match=r"pods: 500 dial tcp .*: connection refused$"):
            await listed(Access(url))


async def test_a_pod_uses_its_own_account_and_a_renewed_token(authority: Authority) -> None:
    account, api = authority.folder / "account", ApiServer()
    account.mkdir()
    (account / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (account / "namespace").write_text("blue")
    async with served(authority.serve("IP:127.0.0.1"), api) as url:
        host, port = url.removeprefix("https://").split(":")
        env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        access = own_access(env, account)
        assert access is not None
        async with cluster(NAMESPACE, access) as one:
            for token in ("first", "renewed"):
                (account / "token").write_text(f"{token}\n")
                await one.get(one.pods())
    assert api.logins == ["Bearer first", "Bearer renewed"]
    assert own_namespace(account) == "blue"


async def test_outside_a_cluster_there_is_no_own_account(tmp_path: Path) -> None:
    assert own_access({}) is None
    assert own_namespace(tmp_path) is None


async def test_without_a_namespace_chaos_takes_that_of_its_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access("http://127.0.0.1:1")
    async with cluster(None, access) as one:
        assert one.namespace == "resonate-fleet"
    monkeypatch.setattr("resonate_fleet.contract.kubernetes.own_namespace", lambda: "blue")
    async with cluster(None, access) as one:
        assert one.namespace == "blue"
