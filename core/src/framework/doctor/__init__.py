"""Examines plugins, each in a process of its own, and tells what the machine offers."""

from framework.doctor.examination import Examination, examine
from framework.doctor.integrity import Integrity, verify
from framework.doctor.machine import Fact, facts

__all__ = ["Examination", "Fact", "Integrity", "examine", "facts", "verify"]
