"""IoT Hub as everybody here sees it: values, outcomes, the Protocol that adapters and fakes fulfil. Pure, no I/O."""
