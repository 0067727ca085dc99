"""Decisions: pure functions of facts, time and wake; no clock, disk, network, log or dice."""
