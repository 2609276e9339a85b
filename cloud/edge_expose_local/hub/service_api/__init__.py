"""The side of services: routes, rights, and one operation a route, over HTTPS."""
