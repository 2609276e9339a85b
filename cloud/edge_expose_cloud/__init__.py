"""The cloud-side tool: builds deployment manifests, plans, applies and watches.

Never imports the module or Kubernetes.
"""
