"""The conformance suite, applied to this plugin."""

from framework.testing import PluginContract


class TestContract(PluginContract):
    subject = "survey"
