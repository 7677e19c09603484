"""The front pages of the other hosts: a redirect to https where the real one has it, and a title."""

from __future__ import annotations

from aiohttp import web

SERVERS = {"www.aliyun.com": "Tengine", "aliyun.com": "Tengine", "www.google.com": "gws", "google.com": "gws"}
REDIRECTS_TO_HTTPS = {"www.aliyun.com", "aliyun.com", "edition.cnn.com"}
TITLES = {
    "www.aliyun.com": "阿里云-计算，为了无法计算的价值",
    "www.google.com": "Google",
    "google.com": "Google",
    "edition.cnn.com": "CNN International - Breaking News",
    "en.wikipedia.org": "Wikipedia, the free encyclopedia",
    "de.wikipedia.org": "Wikipedia – Die freie Enzyklopädie",
    "fr.wikipedia.org": "Wikipédia, l'encyclopédie libre",
    "es.wikipedia.org": "Wikipedia, la enciclopedia libre",
    "ja.wikipedia.org": "Wikipedia、フリー百科事典",
    "zh.wikipedia.org": "维基百科，自由的百科全书",
}


def application() -> web.Application:
    """One application for all sites; the Host header says which."""
    app = web.Application()
    app.on_response_prepare.append(_sign)
    app.router.add_route("*", "/{path:.*}", _page)
    return app


def _host(request: web.Request) -> str:
    return request.host.partition(":")[0].lower()


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVERS.get(_host(request), "nginx")


async def _page(request: web.Request) -> web.Response:
    host = _host(request)
    if request.scheme == "http" and host in REDIRECTS_TO_HTTPS:
        return web.Response(status=301, headers={"Location": f"https://{host}{request.path_qs}"})
    title = TITLES.get(host, host)
    page = (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title}</title></head><body>{title}</body></html>\n'
    )
    return web.Response(text=page, content_type="text/html")
