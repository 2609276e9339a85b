"""The walls of the cloud tool: IoT Hub service API and files. Third-party clients live only here."""
