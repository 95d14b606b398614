from services.signaling.sip.errors import MalformedMessage


def test_a_malformed_message_deserves_400_unless_said_otherwise() -> None:
    error = MalformedMessage("Missing via")
    assert (error.reason, error.status, error.message) == ("Missing via", 400, None)
    assert str(error) == "Missing via"
