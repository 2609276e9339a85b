"""The web page: server-rendered, a thin shell over the use cases that the command line uses as well.

Pure: fleet, ip_map, taken, forms, presets, pieces, planned. Shell: watching (the one poller), health, reading,
last_known, sessions, accounts, auditing, form_pages, and the routes (signing, device_pages, changing_pages, live, api).
`app` puts them together.
"""
