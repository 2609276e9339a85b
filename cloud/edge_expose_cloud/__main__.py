"""`python -m edge_expose_cloud` is the command `edge-expose`."""

from edge_expose_cloud.cli import main

if __name__ == "__main__":
    main()
