"""What IoT Edge itself does with a manifest: createOptions, routes, and the Services edgeAgent builds. Pure, no I/O."""
