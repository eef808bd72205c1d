"""Owns the demonstration: one village meets nine criteria because people, partners and devices did things.

It drives the platform as its users would: people sign in with the form and go on with their session cookie, a partner
has client credentials and speaks gRPC, loudspeakers speak MQTT and cameras RTSP. It knows nothing of the services'
insides (import-linter holds it to that), and every status it tells was read from the platform's own API.
"""

from launcher.scenario.sheet import Outcome
from launcher.scenario.story import Devices, Step, play
from launcher.scenario.talk import ScenarioFailed

__all__ = ["Devices", "Outcome", "ScenarioFailed", "Step", "play"]
