"""httpbin: a server that says what it was asked, in the well-known service's paths and JSON."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Mapping

from aiohttp import web

SERVER = "gunicorn/19.9.0"
MOST_BYTES = 100 * 1024
LONGEST_DELAY = 10.0
MOST_LINES = 100
MOST_REDIRECTS = 20


def application() -> web.Application:
    """All paths."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.on_response_prepare.append(_sign)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        app.router.add_route(method, f"/{method.lower()}", _echo)
    for path in ("/anything", "/anything/{rest:.*}"):
        app.router.add_route("*", path, _anything)
    app.router.add_route("*", "/status/{codes}", _status)
    app.router.add_route("*", "/delay/{seconds}", _delay)
    app.router.add_get("/", _front_page)
    app.router.add_get("/headers", _headers)
    app.router.add_get("/ip", _ip)
    app.router.add_get("/user-agent", _user_agent)
    app.router.add_get("/uuid", _uuid)
    app.router.add_get("/html", _front_page)
    app.router.add_get("/bytes/{count}", _bytes)
    app.router.add_get("/stream/{lines}", _stream)
    app.router.add_get("/redirect/{times}", _redirect)
    app.router.add_get("/relative-redirect/{times}", _redirect)
    app.router.add_get("/absolute-redirect/{times}", _absolute_redirect)
    app.router.add_route("*", "/redirect-to", _redirect_to)
    app.router.add_get("/response-headers", _response_headers)
    return app


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Credentials"] = "true"


def _answer(content: Mapping[str, object]) -> web.Response:
    return web.json_response(text=json.dumps(content, indent=2, sort_keys=True) + "\n")


def _header_dict(request: web.Request) -> dict[str, str]:
    """Names as Python web servers give them: each word capitalised, repeated values joined."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        found.setdefault(name.title(), []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _about(request: web.Request) -> dict[str, object]:
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return {
        "args": dict(request.query),
        "headers": _header_dict(request),
        "origin": request.headers.get("X-Forwarded-For", request.remote or ""),
        "url": f"{scheme}://{request.host}{request.path_qs}",
    }


async def _with_body(request: web.Request) -> dict[str, object]:
    body = await request.read()
    text = body.decode("utf-8", "replace")
    form = request.content_type == "application/x-www-form-urlencoded"
    try:
        as_json = json.loads(text) if text else None
    except ValueError:
        as_json = None
    fields = dict(await request.post()) if form else {}
    return {**_about(request), "data": "" if form else text, "files": {}, "form": fields, "json": as_json}


async def _echo(request: web.Request) -> web.Response:
    return _answer(_about(request) if request.method == "GET" else await _with_body(request))


async def _anything(request: web.Request) -> web.Response:
    return _answer({**await _with_body(request), "method": request.method})


async def _headers(request: web.Request) -> web.Response:
    return _answer({"headers": _header_dict(request)})


async def _ip(request: web.Request) -> web.Response:
    return _answer({"origin": _about(request)["origin"]})


async def _user_agent(request: web.Request) -> web.Response:
    return _answer({"user-agent": request.headers.get("User-Agent")})


async def _uuid(request: web.Request) -> web.Response:
    return _answer({"uuid": str(uuid.uuid4())})


async def _front_page(request: web.Request) -> web.Response:
    page = "<!DOCTYPE html>\n<html><head><title>httpbin.org</title></head><body><h1>httpbin.org</h1></body></html>\n"
    return web.Response(text=page, content_type="text/html")


async def _status(request: web.Request) -> web.Response:
    """One status, or one of several drawn (``/status/200,503``)."""
    try:
        status = int(random.choice(request.match_info["codes"].split(",")))
    except ValueError:
        status = 400
    if not 200 <= status <= 599:
        status = 400
    headers = {"Location": "/redirect/1"} if status in (301, 302, 303, 307, 308) else {}
    return web.Response(status=status, headers=headers)


async def _delay(request: web.Request) -> web.Response:
    try:
        seconds = min(max(float(request.match_info["seconds"]), 0.0), LONGEST_DELAY)
    except ValueError:
        raise web.HTTPNotFound from None
    await asyncio.sleep(seconds)
    return _answer(await _with_body(request))


async def _bytes(request: web.Request) -> web.Response:
    count = min(_number(request, "count"), MOST_BYTES)
    return web.Response(body=random.randbytes(count), content_type="application/octet-stream")


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    about = _about(request)
    for number in range(min(_number(request, "lines"), MOST_LINES)):
        await response.write(json.dumps({**about, "id": number}).encode() + b"\n")
    await response.write_eof()
    return response


async def _redirect(request: web.Request) -> web.Response:
    times = min(_number(request, "times"), MOST_REDIRECTS)
    return _found(f"/relative-redirect/{times - 1}" if times > 1 else "/get")


async def _absolute_redirect(request: web.Request) -> web.Response:
    times = min(_number(request, "times"), MOST_REDIRECTS)
    base = f"{request.scheme}://{request.host}"
    return _found(f"{base}/absolute-redirect/{times - 1}" if times > 1 else f"{base}/get")


async def _redirect_to(request: web.Request) -> web.Response:
    if "url" not in request.query:
        raise web.HTTPBadRequest(text="missing url\n")
    status = request.query.get("status_code", "302")
    return _found(request.query["url"], int(status) if status.isdigit() and 300 <= int(status) < 400 else 302)


async def _response_headers(request: web.Request) -> web.Response:
    return web.json_response(dict(request.query), headers=[*request.query.items()])


def _found(location: str, status: int = 302) -> web.Response:
    return web.Response(status=status, headers={"Location": location}, content_type="text/html")


def _number(request: web.Request, name: str) -> int:
    text = request.match_info[name]
    if not text.isdigit():
        raise web.HTTPNotFound
    return int(text)
