"""The web page: server-rendered, a thin shell over the use cases that the command line uses as well.

`server` listens, `app` puts the parts together. A request passes `http` (what it must be), then a route: `pages` for
people, `api` for programs; `shell` gives routes the portal's parts and who asks (`auth`). Pure: `forms` and `views`.
`live` is the one poller and what it knows. `audit` keeps what was done by whom.
"""
