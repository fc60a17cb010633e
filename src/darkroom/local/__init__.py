"""The whole of Darkroom on one machine: an AWS emulator, a runtime, agents and the gateway, started and supervised."""
