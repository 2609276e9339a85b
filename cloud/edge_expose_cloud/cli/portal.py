"""Commands of the portal: serve it, and keep its accounts."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_expose_cloud.adapters.files import state_folder
from edge_expose_cloud.adapters.sealing import seal_of
from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, UsageProblem, connect
from edge_expose_cloud.cli.shared.output import say
from edge_expose_cloud.findings.problems import Refused

if TYPE_CHECKING:
    from edge_expose_cloud.adapters.health_port import Health
    from edge_expose_cloud.portal.shell import Portal

app = new_app(
    help="Serve the web page, where apps are exposed without any JSON.\n\nExample: edge-expose portal",
    invoke_without_command=True,
)
token_app = new_app(no_args_is_help=True, help="API tokens, which programs show in place of a password.")
app.add_typer(token_app, name="token")
Users = Annotated[
    Path | None, typer.Option("--users", metavar="FILE", help="Accounts file. Default: in the state folder.")
]


@app.callback(invoke_without_command=True)
@guarded
def portal(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option("--listen", metavar="IP:PORT", help="Address and port to listen on; port 0 picks a free one.")
    ] = "127.0.0.1:8480",
    users: Users = None,
    backup: Annotated[
        Path | None, typer.Option("--backup", metavar="DIR", help="Folder for backups. Default: in the state folder.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="FILE", help="Audit log. Default: in the state folder.")
    ] = None,
    syslog: Annotated[
        str | None,
        typer.Option("--syslog", metavar="SOCKET|HOST:PORT", help="Also send audit lines there, such as to /dev/log."),
    ] = None,
    queries: Annotated[
        float, typer.Option("--queries-per-minute", min=1, help="Share of the hub's query quota (S1: 20 a unit).")
    ] = 10.0,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Host name under which people reach the portal."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate (PEM).")
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Serve plain HTTP beyond loopback: a proxy in front does HTTPS.")
    ] = False,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", metavar="CIDR", help="Proxies whose X-Forwarded-For and -Proto count."),
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(
            "--health", metavar="IP:PORT", help="Address of /healthz and Prometheus /metrics, without sign-in."
        ),
    ] = None,
    one_time_link: Annotated[
        bool, typer.Option("--one-time-link", help="Print a link that signs in once, as operator.")
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
) -> None:
    """Serve the web page until Ctrl-C.

    Example: edge-expose portal --listen 127.0.0.1:8480
    """
    if context.invoked_subcommand is not None:
        _refuse_options_of_serving(context)
        return
    host, port = _address(listen)
    if (tls_cert is None) != (tls_key is None):
        raise UsageProblem("--tls-cert and --tls-key go together", "give both, or none")
    from edge_expose_cloud.portal.app import make_app, make_portal
    from edge_expose_cloud.portal.audit.syslog import Syslog, SyslogError
    from edge_expose_cloud.portal.auth.accounts import AccountError
    from edge_expose_cloud.portal.http.guards import Hosts, is_host_name
    from edge_expose_cloud.portal.server import Certificate, allow_many_files, make_server
    from edge_expose_cloud.portal.shell import Settings

    loopback = ipaddress.ip_address(host).is_loopback
    certificate = Certificate(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    tls = certificate is not None
    if not loopback and not tls and not plain_http:
        raise UsageProblem(
            f"{host} is reachable by others, and without HTTPS passwords and sessions are readable on the way",
            "give --tls-cert and --tls-key, or --plain-http where a proxy with HTTPS stands in front",
        )
    proxies = [_network(text) for text in trusted_proxy or []]
    for name in allow_host or []:
        if not is_host_name(name):
            raise UsageProblem(f"--allow-host {name!r} is no host name", "leave scheme, port and path out")
    folder = state_folder(dict(os.environ))
    try:
        copy = Syslog(syslog).send if syslog is not None else None
    except SyslogError as error:
        raise UsageProblem(f"--syslog {error}", "write it like /dev/log or logs.example.com:514") from error
    settings = Settings(
        backups=backup or folder / "backups",
        audit=audit or _audit(),
        audit_copy=copy,
        users=users or _users(),
        secure=tls or not loopback or bool(proxies),
        queries_per_minute=queries,
        seal=seal_of(os.environ),
    )
    made = make_portal(connect(connection_string_file, hub, auth), settings)
    try:
        nobody = not one_time_link and not made.accounts.all()
    except AccountError as error:
        raise Refused(str(error)) from error
    names = [host, *(["localhost"] if loopback else []), *(allow_host or [])]
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if tls else 'http'}://{shown}:{port}"
    if not loopback:
        say(f"! {host} is reachable by others: an operator who signs in there can open ports on your devices")
        if not tls:
            say("! this is plain HTTP: browsers send the session cookie only through a proxy with HTTPS")
    if nobody:
        say(f"! there is no account yet: edge-expose portal adduser NAME --role operator --users {settings.users}")
    say(f"portal at {url}")
    if one_time_link:
        say(f"sign in once at {url}/link/{made.sessions.make_link('demo', 'operator')}")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    allow_many_files()
    beside = _health(health, made) if health is not None else None
    app = make_app(made, Hosts(names), tls=tls, proxies=proxies, health=beside)
    server = make_server(app, made.events, proxies=proxies, certificate=certificate)
    # uvicorn raises Ctrl-C again when it has ended: it ends the process as SIGTERM does, whatever the poller waits for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run(sockets=[listener])


def _refuse_options_of_serving(context: typer.Context) -> None:
    """`portal --users FILE adduser` would add to another file than the one that is named."""
    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageProblem(
                f"{option.opts[0]} before {context.invoked_subcommand} has no effect",
                f"write it behind: portal {context.invoked_subcommand} ... {option.opts[0]}",
            )


def _health(listen: str, made: Portal) -> Health:
    """The health port, serving. It says "not alive" until the portal runs."""
    from edge_expose_cloud.adapters.health_port import Health
    from edge_expose_cloud.portal.live.measures import figures
    from edge_expose_cloud.portal.server import HealthPort

    host, port = _address(listen, "--health")
    health = Health(lambda: figures(made.poller, made.sessions, made.events))
    listener = _listen(host, port, "--health")
    HealthPort(health, listener)
    shown = f"[{host}]" if ":" in host else host
    say(f"health and metrics at http://{shown}:{listener.getsockname()[1]}")
    if not ipaddress.ip_address(host).is_loopback:
        say("! the health port has no sign-in: whoever reaches it reads how many devices and exposures there are")
    return health


@app.command()
@guarded
def adduser(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[
        str, typer.Option("--role", metavar="viewer|operator", help="viewer may look, operator may change.")
    ],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    users: Users = None,
) -> None:
    """Add a user, or change its role and password; existing sessions end.

    Example: edge-expose portal adduser ada --role operator --password-stdin < password.txt
    """
    from edge_expose_cloud.portal.auth.accounts import AccountError, Accounts

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise UsageProblem("no password is given", "add --password-stdin and send it there")
    path = users or _users()
    try:
        Accounts(path).add(name, role, password)
    except AccountError as error:
        raise UsageProblem(str(error)) from error
    say(f"{name} may sign in as {role} ({path})")


@app.command()
@guarded
def deluser(name: Annotated[str, typer.Argument(metavar="NAME")], users: Users = None) -> None:
    """Remove a user, who is signed out wherever they are signed in; their API tokens end.

    Example: edge-expose portal deluser ada
    """
    from edge_expose_cloud.portal.auth.accounts import AccountError, Accounts
    from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside

    path = users or _users()
    try:
        Accounts(path).remove(name)
        ended = Tokens(tokens_beside(path)).revoke_all(name)
    except AccountError as error:
        raise UsageProblem(str(error)) from error
    say(f"{name} may no longer sign in ({path})" + (f"; {ended} API tokens ended" if ended else ""))


@token_app.command("add")
@guarded
def token_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for, such as ci.")],
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Account for which the program acts.")],
    scope: Annotated[
        str, typer.Option("--scope", metavar="viewer|operator", help="viewer may look, operator may change.")
    ] = "viewer",
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long it lasts, at most 365.")] = 90,
    users: Users = None,
) -> None:
    """Make an API token and print it; nobody can be shown it again.

    Example: edge-expose portal token add ci --user ada --scope operator --days 30
    """
    from edge_expose_cloud.portal.auth.accounts import AccountError, Accounts
    from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside

    path = users or _users()
    try:
        account = Accounts(path).all().get(user)
        if account is None:
            raise AccountError(f"{path} holds no user {user!r}")
        if scope == "operator" and account.role != "operator":
            raise AccountError(f"{user} is a viewer, and a token may do no more than its account")
        made, token = Tokens(tokens_beside(path)).add(user, name, scope, days)
    except AccountError as error:
        raise UsageProblem(str(error)) from error
    say(f"token {made.id} ({made.name}): {made.scope} for {user}, {days} days; keep it, it is shown once")
    typer.echo(token)


@token_app.command("list")
@guarded
def token_list(users: Users = None) -> None:
    """List the API tokens: id, user, scope, the day each ends, and what it is for.

    Example: edge-expose portal token list
    """
    import datetime as dt

    from edge_expose_cloud.portal.auth.accounts import AccountError
    from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside

    try:
        found = Tokens(tokens_beside(users or _users())).all()
    except AccountError as error:
        raise UsageProblem(str(error)) from error
    for item in sorted(found.values(), key=lambda item: (item.user, item.created)):
        ends = dt.datetime.fromtimestamp(item.expires, dt.UTC).strftime("%Y-%m-%d")
        typer.echo(f"{item.id}  {item.user}  {item.scope}  {ends}  {item.name}")
    if not found:
        say("there are no API tokens")


@token_app.command("revoke")
@guarded
def token_revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")], users: Users = None
) -> None:
    """End an API token at once.

    Example: edge-expose portal token revoke 1f0c3a9e
    """
    from edge_expose_cloud.portal.auth.accounts import AccountError
    from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside

    try:
        found = Tokens(tokens_beside(users or _users())).revoke(id)
    except AccountError as error:
        raise UsageProblem(str(error), "edge-expose portal token list") from error
    say(f"token {found.id} ({found.name}) of {found.user} ended")


@app.command("verify-audit")
@guarded
def verify_audit(
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="FILE", help="Audit log. Default: in the state folder.")
    ] = None,
    expect: Annotated[
        str, typer.Option("--expect", metavar="HASH", help="Hash that an earlier check printed: it must be there.")
    ] = "",
) -> None:
    """Check that no line of the audit log was changed, moved or taken out, and print the hash of the last one.

    Lines cut off at the end show only against a hash that was noted elsewhere (--expect), or in syslog.

    Example: edge-expose portal verify-audit
    """
    from edge_expose_cloud.portal.audit.check import check_audit

    path = audit or _audit()
    found = check_audit(path, expect.lower())
    if found.problem:
        raise Refused(found.problem, "compare with what syslog holds, and find out who may write that file")
    if not found.begins:
        say("! older entries were given up when the log was full")
    if found.unchained:
        say(f"! the first {found.unchained} entries are of a version that made no chain")
    if found.cut:
        say(f"! {found.cut} lines are cut off, as when a machine loses power")
    say(f"{path} is whole: {found.entries} entries")
    typer.echo(found.last)


def _audit() -> Path:
    return state_folder(dict(os.environ)) / "portal-audit.jsonl"


def _users() -> Path:
    return state_folder(dict(os.environ)) / "portal-users.json"


def _address(listen: str, option: str = "--listen") -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise UsageProblem(f"{option} {listen!r} is not IP:PORT", "write it like 127.0.0.1:8480") from None
    if not colon or not 0 <= number < 65536:
        raise UsageProblem(f"{option} {listen!r} is not IP:PORT", "write it like 127.0.0.1:8480")
    return host, number


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageProblem(f"--trusted-proxy {text!r} is no network: {error}", "write it like 10.0.0.5/32") from None
    if network.prefixlen == 0:
        raise UsageProblem(f"--trusted-proxy {text} trusts everybody", "name the addresses of the proxies")
    return network


def _listen(host: str, port: int, option: str = "--listen") -> socket.socket:
    """IPPROTO_TCP by name, so that asyncio switches Nagle's algorithm off and answers do not wait 40 ms."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageProblem(
            f"{host}:{port} cannot be listened on: {error.strerror or error}", f"another {option}, or 127.0.0.1:0"
        ) from error
    return listener
