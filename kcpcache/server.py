"""The composition root: constructs everything, wires it, runs it, and takes it down in the opposite order."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.config import Config

from kcpcache.admission.plugins import default_chain
from kcpcache.api.api_export import ApiExportHandler
from kcpcache.api.app import Application, create_app
from kcpcache.api.cache_server import CacheServerHandler
from kcpcache.api.fairness import Limits
from kcpcache.api.home_workspaces import HomeWorkspaces
from kcpcache.api.in_process import InProcess
from kcpcache.api.initializing_workspaces import InitializingWorkspacesHandler
from kcpcache.api.protocol import KubernetesProtocol
from kcpcache.api.replication import ReplicationHandler
from kcpcache.api.request_measures import RequestMeasures
from kcpcache.api.services import AdmissionFor, ServiceHandler, Services
from kcpcache.api.tls import PromptTls
from kcpcache.api.wildcard import Wildcard
from kcpcache.audit.log import AuditLog, Sink
from kcpcache.audit.policy import PolicyError, parse_policy
from kcpcache.audit.rotation import RotatingFile, StandardOutput
from kcpcache.audit.trail import Audit
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.certificates import Certificates, ensure_certificates, serving_hosts
from kcpcache.auth.kubeconfig import admin_kubeconfig, server_url, write_kubeconfig
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.service_accounts import ServiceAccountTokens, ensure_signing_key
from kcpcache.auth.source import CachedGate, CachedPolicies, CachedRbac
from kcpcache.auth.trusted_files import TlsFiles, TrustedFiles
from kcpcache.authentication import authenticate_with, authenticator_of, impersonate_with
from kcpcache.config import Settings
from kcpcache.dashboard import routes as dashboard
from kcpcache.meta import conditions
from kcpcache.metrics.scrape import Scrape
from kcpcache.registry.caches import Caches
from kcpcache.registry.conversion_webhook import conversion_of
from kcpcache.registry.epoch import Epoch
from kcpcache.registry.logical_clusters import ROOT, LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving
from kcpcache.registry.system import SystemTypes, kcp_definitions
from kcpcache.registry.webhook_client import WebhookClient
from kcpcache.reviews import ReviewService
from kcpcache.root_dir import DATABASE, KUBECONFIG, SIGNING_KEY, close_to_others, open_among, prepare_root_dir
from kcpcache.runtime.apply import Applier
from kcpcache.runtime.bootstrap import ROOT_BINDINGS, Bootstrap
from kcpcache.runtime.controllers.admission import AdmissionControllers
from kcpcache.runtime.controllers.apis import ApiControllers
from kcpcache.runtime.controllers.authorization import AuthorizationControllers
from kcpcache.runtime.controllers.cache import CacheControllers
from kcpcache.runtime.controllers.lifecycle import LifecycleControllers
from kcpcache.runtime.controllers.topology import TopologyControllers
from kcpcache.runtime.controllers.workspaces import WorkspaceControllers
from kcpcache.runtime.environment import Environment, ShardInfo
from kcpcache.runtime.indexes import API_BINDINGS
from kcpcache.storage.encrypted import EncryptedStore, check_keys
from kcpcache.storage.encryption import KeyRing
from kcpcache.storage.key_file import load_keys
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.tracing import Tracing, TracingError, tracing_of
from kcpcache.virtual.api_export_consumers import Consumers
from kcpcache.virtual.api_export_resources import ExportedResources, ExportsByIdentity
from kcpcache.virtual.proxied import Endpoints
from kcpcache.virtual.remote import Remote
from kcpcache.virtual.views import Views

log = structlog.get_logger(__name__)

GC_THRESHOLDS = (10_000, 20, 50)
"""Requests leave hardly any cycles behind: with Python's own thresholds, looking for them takes a tenth of the time."""
UNREADY_SECONDS = 0.3
"""How long /readyz says no before idle connections are closed: whoever asks on one is to hear it first."""
GRACE_SECONDS = 8
_BACKLOG = 2048
_HANDSHAKE_SECONDS = 10.0
_MOST_MESSAGE_BYTES = 4096
"""Of what comes over a WebSocket, which nobody reads."""
_OTHER_FILES = 200
"""Files and sockets that the server needs besides its clients' connections."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class StartError(Exception):
    """The server cannot start; one line that says why and what to do."""


def listen(address: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises StartError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {address}:{port}: {error.strerror}; choose another --bind-address or --port"
        ) from None
    sock.setblocking(False)
    return sock


class _Uvicorn(uvicorn.Server):
    """uvicorn without its own signal handlers, since the order of shutdown is ours, and less patient with TLS."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        loop, config = asyncio.get_running_loop(), self.config
        protocol: Callable[..., asyncio.Protocol] = config.http_protocol_class
        make = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        self.servers = [
            await loop.create_server(
                make, sock=sock, ssl=config.ssl, backlog=config.backlog, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
            for sock in sockets or ()
        ]
        self.started = True


class Server:
    """One process: store, caches, controllers, HTTP. ``run`` returns after SIGTERM or SIGINT, when all is down."""

    def __init__(self, settings: Settings, on_ready: Callable[[str, Path], None]) -> None:
        self.settings, self._on_ready = settings, on_ready
        self.shutting_down = asyncio.Event()
        self.root = prepare_root_dir(settings.root_dir)
        self.socket = listen(settings.bind_address, settings.port)
        self.url = server_url(settings.advertised_host, self.socket.getsockname()[1])
        self._published_url = settings.shard_external_url or self.url
        self._webhooks, self._remote = WebhookClient(settings.webhook_allowed_hosts), Remote()

    async def run(self) -> None:
        """Serve until told to stop. Raises StartError, StoreError, CertificateError, TokenFileError, RootDirError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.shutting_down.set)
        with contextlib.closing(self.socket):
            key_file = self.settings.encryption_key_file
            keys = None if key_file is None else load_keys(key_file)
            tracing = self._tracing()
            try:
                async with self._store() as store, self._audit() as audit, self._caches(store, keys) as caches:
                    await self._serve(store, caches, audit, tracing)
            finally:
                if tracing is not None:
                    await tracing.close()
                await self._remote.close()
                await self._webhooks.close()

    @staticmethod
    def _tracing() -> Tracing | None:
        try:
            return tracing_of(os.environ)
        except TracingError as error:
            raise StartError(str(error)) from None

    @contextlib.asynccontextmanager
    async def _audit(self) -> AsyncIterator[Audit | None]:
        settings, path = self.settings, self.settings.audit_policy_file
        if not settings.audit_log_path and path is None:
            yield None
            return
        if not settings.audit_log_path or path is None:
            raise StartError("--audit-log-path and --audit-policy-file go together: where to, and what")
        try:
            policy = parse_policy(path.read_bytes())
            audit_log = AuditLog(self._audit_file())
        except PolicyError as error:
            raise StartError(f"--audit-policy-file {path} {error}") from None
        except OSError as error:
            raise StartError(f"cannot audit: {error.filename}: {error.strerror}") from None
        try:
            yield Audit(policy, audit_log, utc_now)
        finally:
            await audit_log.close()

    def _audit_file(self) -> Sink:
        settings = self.settings
        if settings.audit_log_path == "-":
            return StandardOutput()
        return RotatingFile(
            Path(settings.audit_log_path),
            max_bytes=settings.audit_log_maxsize * 1024 * 1024,
            max_age=timedelta(days=settings.audit_log_maxage) if settings.audit_log_maxage else None,
            max_backups=settings.audit_log_maxbackup,
            now=utc_now,
        )

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[SqliteStore]:
        store = await SqliteStore.open(
            self.root / DATABASE,
            synchronous=self.settings.sqlite_synchronous,
            history_seconds=self.settings.history_seconds,
        )
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def _caches(self, store: SqliteStore, keys: KeyRing | None) -> AsyncIterator[Caches]:
        plain = await check_keys(store, keys)
        if keys is not None and plain:
            log.warning("Secrets are stored in plain: run kcpcache rewrite-secrets", count=plain)
        caches = Caches(store if keys is None else EncryptedStore(store, keys))
        try:
            await caches.start()
            yield caches
        finally:
            await caches.close()

    async def _serve(self, store: SqliteStore, caches: Caches, audit: Audit | None, tracing: Tracing | None) -> None:
        for path, mode in close_to_others(self.root):
            log.warning("others could open this, and cannot any more", path=str(path), mode=f"{mode:04o}")
        for path, mode in open_among(self.settings.secret_files):  # whose modes are whoever's who put them there
            log.warning("others can open this: take it from them", path=str(path), mode=f"{mode:04o}")
        certificates = ensure_certificates(self.root, self._hosts(), utc_now())
        cached_apis, published = self.settings.cached_apis, self._published_url
        shard = ShardInfo(self.settings.shard_name, self.url, published, published)
        system = SystemTypes(cached_apis=cached_apis)
        clusters = LogicalClusters(caches)
        await Bootstrap(caches, system, shard, utc_now, cached_apis=cached_apis).run()
        convert = partial(conversion_of, client=self._webhooks)
        serving = Serving(caches, system.base.values(), kcp_definitions(), conversion=convert)
        lookup = Lookup(caches, clusters, system)
        env = Environment(lookup, serving, Applier(caches, serving, system.definition, utc_now), shard, utc_now)
        trusted = self._trusted(certificates)
        cache_side = CacheControllers(env)
        controllers = (
            *cache_side.controllers,
            *ApiControllers(env, cache_side.bindings).controllers,
            *WorkspaceControllers(env).controllers,
            *LifecycleControllers(env).controllers,
            *TopologyControllers(env).controllers,
            *AdmissionControllers(env).controllers,
            *AuthorizationControllers(env).controllers,
        )
        measures = RequestMeasures()
        scrape = Scrape(
            store,
            lookup,
            shard.name,
            measures,
            cache_side,
            controllers,
            cached_apis=cached_apis,
            audit=None if audit is None else audit.log,
        )
        services = replace(
            self._services(lookup, serving, trusted, store),
            audit=audit,
            measures=measures,
            metrics=scrape,
            trace=None if tracing is None else tracing.request,
        )
        for controller in controllers:
            controller.observe = None if tracing is None else tracing.reconciled
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(controller.run(), name=controller.name) for controller in controllers]
            running.append(tasks.create_task(caches.failed(), name="caches"))
            running.append(tasks.create_task(trusted.follow(), name="trusted-files"))
            try:
                await self._serve_http(services, certificates, trusted, caches)
            finally:
                for task in running:
                    task.cancel()

    async def _serve_http(
        self, services: Services, certificates: Certificates, trusted: TrustedFiles, caches: Caches
    ) -> None:
        application = create_app(services)
        caches.company = application.kubernetes.fairness
        http = _Uvicorn(self._uvicorn_config(application, trusted.context))
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(http.serve(sockets=[self.socket]), name="http")
            ready = tasks.create_task(self._announce(services, certificates), name="ready")
            await self.shutting_down.wait()
            log.info("shutting down")
            ready.cancel()
            caches.end_subscriptions()
            await asyncio.sleep(UNREADY_SECONDS)
            http.should_exit = True
            await serving

    async def _announce(self, services: Services, certificates: Certificates) -> None:
        """Write the kubeconfig, wait until the first workspace serves what it should, and say so."""
        path = self.root / KUBECONFIG
        port = self.socket.getsockname()[1]
        write_kubeconfig(path, admin_kubeconfig(self.settings.advertised_host, port, certificates, self._own_ca()))
        while any(check() is not None for check in services.ready_checks.values()):  # noqa: ASYNC110 -- many conditions
            await asyncio.sleep(0.01)
        gc.freeze()  # what was loaded stays: later collections need not walk it, and one now would find nothing
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        self._on_ready(self.url, path)

    def _own_ca(self) -> bytes | None:
        return self.settings.tls_cert_file.read_bytes() if self.settings.tls_cert_file else None

    def _hosts(self) -> tuple[str, ...]:
        more = [self.settings.external_hostname] if self.settings.external_hostname else []
        return serving_hosts(self.settings.bind_address, more)

    def _services(self, lookup: Lookup, serving: Serving, trusted: TrustedFiles, store: SqliteStore) -> Services:
        source = CachedRbac(lookup)
        rbac = Rbac(source)
        source.keep_current(rbac)
        authorizer = Authorizer(rbac, CachedGate(lookup), CachedPolicies(lookup, serving))
        accounts = ServiceAccountTokens(lookup, ensure_signing_key(self.root / SIGNING_KEY), self.url)
        authenticator = authenticator_of(self.settings, trusted, accounts)
        handlers: dict[str, ServiceHandler] = {}
        in_process = InProcess(handlers, lookup.clusters.path)
        hosts = self.settings.virtual_workspace_allowed_hosts
        endpoints = Endpoints(self._published_url, hosts, self._remote, in_process)
        views = Views(lookup, serving, shard=self.settings.shard_name, clock=utc_now, endpoints=endpoints)
        chain = default_chain(
            lookup,
            serving,
            authorizer,
            cached_apis=self.settings.cached_apis,
            webhooks=self._webhooks,
            view=views.view,
        )
        epoch = Epoch(lookup.caches)
        trusted.listeners.append(lambda _trust: epoch.begin())
        consumers, identities, shard = Consumers(lookup), ExportsByIdentity(lookup), self.settings.shard_name
        wildcard = Wildcard(lookup, serving, views, consumers, identities, shard=shard)
        exported = ExportedResources(lookup, serving, identities)
        exports = ApiExportHandler(
            lookup, consumers, exported, views, authorizer, chain.admission, shard=shard, clock=utc_now
        )
        handlers["apiexport"] = exports
        handlers.update(self._virtual_workspaces(lookup, serving, views, authorizer, chain.admission))
        return Services(
            resolve_cluster=lookup.clusters.resolve,
            path_of=lookup.clusters.path,
            epoch=lambda: epoch.value,
            snapshot=serving.snapshot,
            find=wildcard.find,
            view=wildcard.view,
            authenticate=authenticate_with(authenticator),
            impersonate=impersonate_with(authorizer),
            authorize=authorizer.authorize,
            admission=chain.admission,
            reviews=ReviewService(authorizer, authenticator, accounts),
            clock=utc_now,
            shutting_down=self.shutting_down,
            service_handlers=handlers,
            limits=Limits(
                in_flight=self.settings.max_requests_inflight,
                per_user=self.settings.max_requests_inflight_per_user,
                per_workspace=self.settings.max_requests_inflight_per_workspace,
                watches_per_user=self.settings.max_watches_per_user,
            ),
            home=HomeWorkspaces(lookup, authorizer, external_url=self._published_url, clock=utc_now),
            ready_checks={
                "shutdown": lambda: "shutting down" if self.shutting_down.is_set() else None,
                "storage": lambda: None if store.healthy else store.why_unhealthy,
                "bootstrap": lambda: _unbound(lookup),
            },
        )

    def _virtual_workspaces(
        self, lookup: Lookup, serving: Serving, views: Views, authorizer: Authorizer, admission: AdmissionFor
    ) -> Mapping[str, ServiceHandler]:
        initializing = InitializingWorkspacesHandler(lookup, serving, views, authorizer, admission, clock=utc_now)
        found: dict[str, ServiceHandler] = {"initializingworkspaces": initializing}
        if self.settings.cached_apis:
            shard = self.settings.shard_name
            found["replication"] = ReplicationHandler(lookup, serving, views, authorizer, shard=shard)
            found["cache"] = CacheServerHandler(lookup, serving, shard=shard, clock=utc_now)
        return found

    def _trusted(self, certificates: Certificates) -> TrustedFiles:
        settings, ours = self.settings, certificates.serving
        if (settings.tls_cert_file is None) != (settings.tls_private_key_file is None):
            raise StartError("--tls-cert-file and --tls-private-key-file go together")
        more, proxies = settings.client_ca_file, settings.requestheader_client_ca_file
        return TrustedFiles(
            TlsFiles(
                settings.tls_cert_file or ours.certificate_path,
                settings.tls_private_key_file or ours.key_path,
                (certificates.client_authority.certificate_path, *([more] if more else [])),
                (proxies,) if proxies else (),
                proxies_have_names=bool(settings.requestheader_allowed_names),
            )
        )

    def _most_connections(self) -> int:
        """As many as wanted and as the system lets the process have files; it is asked for as many as it gives."""
        wanted = self.settings.max_connections
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted + _OTHER_FILES and soft != resource.RLIM_INFINITY:
            soft = wanted + _OTHER_FILES if hard == resource.RLIM_INFINITY else min(hard, wanted + _OTHER_FILES)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_FILES))
        if most < wanted:
            log.warning("fewer connections than wanted", max_connections=wanted, possible=most, open_files=soft)
        return most

    def _uvicorn_config(self, application: Application, context: ssl.SSLContext) -> Config:
        application.fixed.include_router(dashboard.router())
        config = Config(
            application,
            http=partial(KubernetesProtocol, most_connections=self._most_connections()),  # type: ignore[arg-type]
            ws=_websocket,  # type: ignore[arg-type]
            ws_max_size=_MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # its buffers would be most of what a watch takes
            loop="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=75,
            backlog=_BACKLOG,
        )
        config.load()
        context.sslobject_class = PromptTls
        config.ssl = context
        return config


def _websocket(**arguments: Any) -> asyncio.Protocol:
    """The protocol for WebSockets, imported by the first that there is."""
    from kcpcache.api.websocket_protocol import KubernetesWebSocket

    return KubernetesWebSocket(**arguments)


def _unbound(lookup: Lookup) -> str | None:
    """Which of root's own bindings is still missing."""
    for name in ROOT_BINDINGS:
        binding = lookup.get(API_BINDINGS, ROOT, name)
        if binding is None or not conditions.is_true(binding, "InitialBindingCompleted"):
            return f"root is not yet bound to {name}"
    return None if lookup.clusters.state(ROOT) == "ready" else "root is not ready"
