"""The IoT Hub query language: text to syntax tree, and syntax tree over twin documents. Pure."""
