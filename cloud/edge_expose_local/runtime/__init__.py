"""A local edge runtime: applies the manifest it receives through the hub the way edgeAgent does."""
