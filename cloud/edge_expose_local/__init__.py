"""The embedded stand-in for IoT Hub, the edge runtime and the cluster; imports none of our other packages."""
